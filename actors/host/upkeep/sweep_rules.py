"""Which entries of a mailbox may go. Pure.

Old entries go from the front, all up to a seq. Whatever the age and the number, an entry stays as long as a
device that is still in use has not acknowledged it; and the newest always stays, since the next one names it
and so shows what is gone.

    in the mailbox   1003 1007 1008 1012 1017     older than is kept: up to 1012
    phone            has acknowledged 1017
    tablet           has acknowledged 1007        in use: 1003 and 1007 may go
                                                  unused for longer than the setting: 1003 to 1012 may
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from roost.ids import SEQ_LIMIT
from storage.account_rows import Device, TokenFamily
from storage.mailbox_rows import MailboxDocument


class Keep(Struct, frozen=True):
    """What an operator may set; 0: no limit.

    Attributes:
        entry_ms: How long an entry is kept.
        delivered_ms: How long one is kept that every device in use has acknowledged.
        messages: How many messages of a mailbox are kept.
        size: Their weight, in bytes.
        device_ms: A device that was not used for so long is no longer in use.
    """

    entry_ms: int = 365 * 86_400_000
    delivered_ms: int = 0
    messages: int = 200_000
    size: int = 1 << 30
    device_ms: int = 30 * 86_400_000


class Acknowledged(Struct, frozen=True):
    """How far the devices in use have acknowledged.

    Attributes:
        upto: All of them, up to here; without any, everything counts as acknowledged.
        delivered: The same; without any, nothing does.
    """

    upto: int
    delivered: int


def acknowledged(
    devices: Sequence[Device],
    sessions: Sequence[TokenFamily],
    cursors: Mapping[str, int],
    keep: Keep,
    now_ms: int,
) -> Acknowledged:
    """Return how far the devices in use have acknowledged. A session that goes on is refreshed when used."""
    used = {each.device: each.created_at_ms for each in devices}
    for session in sessions:
        if session.device in used:
            used[session.device] = max(used[session.device], session.used_at_ms)
    in_use = [
        cursors.get(each.device, each.from_seq)
        for each in devices
        if used[each.device] + keep.device_ms > now_ms
    ]
    return Acknowledged(min(in_use), min(in_use)) if in_use else Acknowledged(SEQ_LIMIT, 0)


def may_be_old(oldest: MailboxDocument, newest: MailboxDocument, keep: Keep, now_ms: int) -> bool:
    """Return whether the oldest entry could go, if every device had acknowledged it."""
    return _too_old(oldest, newest, keep, now_ms) or _is_older(oldest, keep.delivered_ms, now_ms)


def first_to_stay(
    entries: Sequence[MailboxDocument],
    newest: MailboxDocument,
    known: Acknowledged,
    keep: Keep,
    now_ms: int,
) -> int:
    """Return the seq of the first of these entries that stays.

    Args:
        entries: The oldest of the mailbox, lowest first, at least one.
        newest: The mailbox's newest.
        known: How far devices have acknowledged.
        keep: The limits.
        now_ms: Unix time.
    """
    for entry in entries:
        if entry.seq >= newest.seq or entry.seq > known.upto:
            return entry.seq
        delivered = entry.seq <= known.delivered and _is_older(entry, keep.delivered_ms, now_ms)
        if not delivered and not _too_old(entry, newest, keep, now_ms):
            return entry.seq
    return entries[-1].seq + 1


def _too_old(entry: MailboxDocument, newest: MailboxDocument, keep: Keep, now_ms: int) -> bool:
    """Return whether an entry is past the age or the number, which entries of old releases do not say."""
    counted = entry.messages > 0
    return (
        _is_older(entry, keep.entry_ms, now_ms)
        or (counted and 0 < keep.messages <= newest.messages - entry.messages)
        or (counted and 0 < keep.size <= newest.size - entry.size)
    )


def _is_older(entry: MailboxDocument, than_ms: int, now_ms: int) -> bool:
    return 0 < than_ms <= now_ms - entry.at_ms
