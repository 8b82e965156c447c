"""A history as lines that another device takes over: what was said, and how far it was delivered and read.

    {"type": "message", "peer", "author", "device", "id", "content", "at_ms", "sent_at_ms", "seq",
     "expires_at_ms"}                         content as it was sealed, in base64; the last two may be null
    {"type": "receipt", "peer", "delivered_seq", "read_seq"}               what the peer has
    {"type": "read", "peer", "seq"}                                        what this user has read of the peer

Edits, reactions and the like are messages, too. What cannot be shown, has lost its content or was never
accepted stays where it is. The device that takes them over shows them before what it has itself.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from roost.client import thread
from roost.client.store.database import Cursor
from roost.client.store.records import Record, covered
from roost.ids import SEQ_LIMIT, fold_username, uuid7_ms
from roost.wire import from_base64, unpadded

Line = Mapping[str, Any]

BEGINNING: Final = -(2**62)
"""Before every place."""

_ROOM: Final = 2**40
"""Places for one history that is taken over."""

_PAGE: Final = 500
_SAID: Final = """
SELECT place, peer, author, device, id, content, at_ms, sent_at_ms, seq, expires_at_ms FROM events
WHERE place > ? AND kind NOT IN ('undecryptable', 'past') AND NOT expired AND (author <> ? OR seq IS NOT NULL)
ORDER BY place LIMIT ?
"""
_NAMES: Final = ("peer", "author", "device", "id", "content", "at_ms", "sent_at_ms", "seq", "expires_at_ms")


class Earlier:
    """Records what was said before all that there is.

    Args:
        record: Of the user.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._place: int | None = None

    def record(self, cursor: Cursor, peer: str, event: thread.Event) -> bool:
        """Record what happened in a conversation; return whether content was removed."""
        if self._place is None:
            (first,) = cursor.execute("SELECT min(place) FROM events").fetchone()
            self._place = min(first or 0, 0) - _ROOM
        self._place += 1
        return self._record.event(cursor, peer, event, place=self._place)


class _Message(Struct):
    peer: str
    author: str
    device: str
    id: str
    content: str
    at_ms: int
    sent_at_ms: int
    seq: int | None = None
    expires_at_ms: int | None = None


class _Receipt(Struct):
    peer: str
    delivered_seq: int
    read_seq: int


class _Read(Struct):
    peer: str
    seq: int


def said(cursor: Cursor, me: str, after: int) -> tuple[int, list[Line]]:
    """Return a page of messages behind a place, and the place of the last one; no line: that was all."""
    rows = cursor.execute(_SAID, (after, me, _PAGE)).fetchall()
    lines = [dict(zip(_NAMES, row[1:], strict=True)) for row in rows]
    return (
        rows[-1][0] if rows else after,
        [{"type": "message", **line, "content": unpadded(line["content"])} for line in lines],
    )


def how_far(cursor: Cursor) -> list[Line]:
    """Return how far what was said was delivered and read."""
    peers = cursor.execute("SELECT DISTINCT peer FROM receipts").fetchall()
    read = cursor.execute("SELECT peer, read_seq FROM conversations WHERE read_seq > 0").fetchall()
    return [
        *({"type": "receipt", "peer": peer, **_watermarks(cursor, peer)} for (peer,) in peers),
        *({"type": "read", "peer": peer, "seq": seq} for peer, seq in read),
    ]


def event_of(line: Line, me: str) -> tuple[str, thread.Event | int] | None:
    """Return what a line says of a conversation: an event, or up to where this user has read.

    Returns:
        None for a line of another type.

    Raises:
        ValueError: It has not its form.
    """
    match line.get("type"):
        case "message":
            return _written(msgspec.convert(dict(line), _Message), me)
        case "receipt":
            found = msgspec.convert(dict(line), _Receipt)
            _check_seqs(found.delivered_seq, found.read_seq)
            return fold_username(found.peer), thread.Receipt(found.delivered_seq, found.read_seq)
        case "read":
            read = msgspec.convert(dict(line), _Read)
            _check_seqs(read.seq)
            return fold_username(read.peer), read.seq
        case _:
            return None


def _written(found: _Message, me: str) -> tuple[str, thread.Event]:
    peer = fold_username(found.peer)
    uuid7_ms(found.id)
    _check_seqs(found.seq or 0, found.at_ms, found.sent_at_ms, found.expires_at_ms or 0)
    if found.author not in (peer, me):
        raise ValueError("a message is of one of the two people of its conversation")
    return peer, thread.Written(
        *(found.author, found.device, found.id, from_base64(found.content), found.at_ms, found.sent_at_ms),
        *(found.seq, found.expires_at_ms),
    )


def _watermarks(cursor: Cursor, peer: str) -> dict[str, int]:
    ticks = {tick: covered(cursor, peer, tick).ranges for tick in ("delivered", "read")}
    return {f"{tick}_seq": max((upto for _, upto in ranges), default=0) for tick, ranges in ticks.items()}


def _check_seqs(*numbers: int) -> None:
    if not all(0 <= number < SEQ_LIMIT for number in numbers):
        raise ValueError("a number of a mailbox, or a time, is from 0 to 2**53 - 1")
