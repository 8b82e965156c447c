"""A device's view of its user's mailbox: the entry that a record is for it, if it is one."""

from actors.user.events import Item
from roost import wire
from storage.mailbox_rows import Conversation
from storage.records import KeysRecord, MessageRecord, ReceiptRecord, Record, SentRecord, has_expired


def is_stored_entry(record: Record) -> bool:
    """Return whether the record becomes a mailbox document (a receipt becomes a conversation row)."""
    return not isinstance(record, ReceiptRecord)


def at_ms_of(record: Record) -> int:
    """Return when the record was accepted, in Unix milliseconds."""
    return record.accepted_at_ms if isinstance(record, MessageRecord) else record.at_ms


def to_wire(item: Item, device: str, prev: int, now_ms: int) -> wire.Entry | None:
    """Return the entry as ``device`` gets it, or None if it is not for this device.

    Invariant: the entries of a reader are a chain, each one's ``prev`` the ``seq`` of the one before, so that
    a client sees an omission. Numbers have gaps, and what is not for this device is not in its chain:

        in the mailbox   1010   1012 for another device   1015
        on this device   1010                             1015 with prev 1010

    Args:
        item: A record with its number.
        device: Whose view.
        prev: seq of the entry before it in this view.
        now_ms: Unix time: a message that has expired is left out.
    """
    record, seq = item.record, item.seq
    if isinstance(record, MessageRecord):
        return _message(record, seq, device, prev, now_ms)
    if isinstance(record, ReceiptRecord):
        return wire.ReceiptEntry(
            seq, prev, record.at_ms, record.peer_name, record.delivered_seq, record.read_seq
        )
    if isinstance(record, KeysRecord):
        return wire.KeysEntry(seq, prev, record.at_ms, record.user_name, record.device, record.change)
    if record.device == device or has_expired(record, now_ms):
        return None
    return _sent(record, seq, device, prev)


def _message(
    record: MessageRecord, seq: int, device: str, prev: int, now_ms: int
) -> wire.MessageEntry | None:
    payload = record.payloads.get(device)
    if payload is None or has_expired(record, now_ms):
        return None
    return wire.MessageEntry(
        seq=seq,
        prev=prev,
        at_ms=record.accepted_at_ms,
        id=record.cause,
        from_=record.sender_name,
        from_device=record.sender_device,
        sent_at_ms=record.sent_at_ms,
        accepted_at_ms=record.accepted_at_ms,
        suite=record.suite,
        payload=payload,
        expires_at_ms=record.expires_at_ms,
        silent=record.silent,
    )


def _sent(record: SentRecord, seq: int, device: str, prev: int) -> wire.SentEntry:
    return wire.SentEntry(
        seq=seq,
        prev=prev,
        at_ms=record.at_ms,
        id=record.cause,
        to=record.peer_name,
        from_device=record.device,
        to_seq=record.peer_seq,
        sent_at_ms=record.sent_at_ms,
        accepted_at_ms=record.at_ms,
        suite=record.suite,
        payload=record.payloads.get(device),
        expires_at_ms=record.expires_at_ms,
        silent=record.silent,
    )


def receipt_of(row: Conversation) -> Item:
    """Return the entry of the newest receipt of a conversation."""
    at_ms = max(row.delivered_at_ms, row.read_at_ms)
    record = ReceiptRecord(row.user, "", row.peer, row.peer_name, row.delivered_seq, row.read_seq, at_ms)
    return Item(row.receipt_seq, record)
