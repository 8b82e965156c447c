"""Records of the log: what becomes an entry, what is a repeat, what goes nowhere."""

from msgspec.structs import replace

from actors.user import effects as do
from actors.user import events as ev
from actors.user.delivery import Reading
from actors.user.events import Item
from actors.user.view import at_ms_of
from storage.records import (
    Conversation,
    KeysRecord,
    MailboxDocument,
    MessageRecord,
    ReceiptRecord,
    Record,
    SentRecord,
)

_TAGS = {MessageRecord: "m", KeysRecord: "k", SentRecord: "s"}


class Records(Reading):
    """Handle records in the log's order; a record that was handled is not handled again."""

    def _record_lacks(self, event: ev.RecordArrived) -> list[ev.Unknown]:
        record = event.record
        if event.seq <= self.head.handled or not isinstance(record, MessageRecord):
            return []
        if self._is_blocked(record.sender, event.seq):
            return []
        if self._is_repeat(record) is None:
            return [ev.RepeatUnknown(record.sender, record.sender_device, record.cause, event.seq)]
        return self._gaps_lack()

    def _record(self, event: ev.RecordArrived) -> None:
        if event.seq <= self.head.handled:
            return
        record = event.record
        if isinstance(record, MessageRecord):
            self._message(event.seq, record, event.value)
        elif isinstance(record, ReceiptRecord):
            self._receipt(event.seq, record)
        else:
            self._keep(event.seq, record, event.value)
        self.head.handled = event.seq
        self._serve_all()

    def _message(self, seq: int, record: MessageRecord, value: bytes) -> None:
        if self._is_blocked(record.sender, seq):
            return
        repeat = self._is_repeat(record)
        upto = self._repeat_facts.pop((record.sender_device, record.cause), 0)
        if repeat:
            self._repeated(seq, record, upto)
            return
        self._keep(seq, record, value)
        for device, state in self.devices.items():
            if device in record.payloads:
                state.has_keys = True
            elif state.addressable:
                self._out.append(self._set_floor(device, seq, seq))
        self.receipts.arrived(record.sender, seq)
        if record.sender not in self.rows:
            self._put_row(self._row_of(record.sender, record.sender_name), seq)
        if any(state.cursor >= seq for d, state in self.devices.items() if d in record.payloads):
            self._tell(
                record.sender, self.receipts.delivered(record.sender, min(seq, self._covered(record.sender)))
            )
        if not self._attached():
            self._wake(record.payloads, record.cause, seq, urgent=record.urgent)

    def _repeated(self, seq: int, record: MessageRecord, upto: int) -> None:
        """Drop a repeat. Its number is kept with the row: the sender may know its message by no other."""
        sender = record.sender
        peer = self.receipts.repeated(sender, seq, upto)
        # It may have no row: that can go down with the log, when the message itself was stored before.
        row = self._row_of(sender, record.sender_name)
        repeat_seq = max(seq, row.repeat_seq)
        self._put_row(replace(row, repeat_seq=repeat_seq, repeated_upto=peer.message), seq)
        if self._covered(sender) >= peer.message:
            read = self.user.read_receipts and row.my_read_seq >= peer.message
            rise = self.receipts.read if read else self.receipts.delivered
            self._tell(sender, rise(sender, seq))

    def _row_of(self, peer: str, name: str) -> Conversation:
        return self.rows.get(peer) or Conversation(self.user.user_id, peer, name)

    def _is_repeat(self, record: MessageRecord) -> bool | None:
        """Say whether the mailbox holds this message already; None: it has to be looked up."""
        known = self.repeats.is_repeat(record.sender_device, record.cause)
        if known is not None:
            return known
        if any(_same_message(item.record, record) for item in self.head.after(self._others_handled)):
            return True
        found = self._repeat_facts.get((record.sender_device, record.cause))
        return None if found is None else found > 0

    def _keep(self, seq: int, record: MessageRecord | KeysRecord | SentRecord, value: bytes) -> None:
        sender = device = ""
        own = False
        if isinstance(record, MessageRecord):
            sender, device = record.sender, record.sender_device
            self.repeats.add(device, record.cause)
            own = self.repeats.newest == record.cause
        newest = "" if own else self.repeats.newest
        document = MailboxDocument(
            self.user.user_id, seq, self.head.tail, _TAGS[type(record)], sender, device,
            record.cause, at_ms_of(record), value, newest,
        )  # fmt: skip
        self.head.push(Item(seq, record))
        self._out.append(do.Store(document))

    def _receipt(self, seq: int, record: ReceiptRecord) -> None:
        known = self._row_of(record.peer, record.peer_name)
        read = max(known.read_seq, record.read_seq)
        delivered = max(known.delivered_seq, record.delivered_seq, read)
        if (delivered, read) == (known.delivered_seq, known.read_seq):
            return
        row = replace(
            known,
            delivered_seq=delivered,
            read_seq=read,
            delivered_at_ms=record.at_ms if delivered > known.delivered_seq else known.delivered_at_ms,
            read_at_ms=record.at_ms if read > known.read_seq else known.read_at_ms,
            receipt_seq=seq,
        )
        self._put_row(row, seq)
        merged = ReceiptRecord(
            record.to, record.cause, record.peer, record.peer_name, delivered, read, record.at_ms
        )
        self.head.push(Item(seq, merged))


def _same_message(known: Record, record: MessageRecord) -> bool:
    return (
        isinstance(known, MessageRecord)
        and known.cause == record.cause
        and known.sender_device == record.sender_device
    )
