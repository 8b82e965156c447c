"""The tables, read as conversations: rows become events again, of which the fold makes messages."""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from roost.client import thread
from roost.client.store.database import Cursor
from roost.client.store.records import covered

_COLUMNS: Final = (
    "place, id, author, device, kind, content, reason, seq, at_ms, sent_at_ms, expires_at_ms, "
    "delivered, failed, expired"
)
_AT_ONCE: Final = 500
"""Parameters of one query; SQLite takes 999 or more."""


class Page(Struct, frozen=True):
    """A part of a conversation.

    Attributes:
        messages: The oldest first.
        before: What ``history`` takes to return the page before this one; None: this is the first.
    """

    messages: list[thread.Message]
    before: int | None = None


class Conversation(Struct, frozen=True):
    """A conversation in the list of them.

    Attributes:
        peer: With whom; this user for the notes to oneself.
        unread: How many messages of the peer were not read, here or on another own device.
        last: The last message; None if all have disappeared.
        timer_s: New messages disappear after so many seconds; None: they stay.
        read_seq: Up to which number this user has read.
    """

    peer: str
    unread: int
    last: thread.Message | None = None
    timer_s: int | None = None
    read_seq: int = 0


class Pages:
    """Reads one user's conversations.

    Args:
        me: The user.
    """

    def __init__(self, me: str) -> None:
        self._me = me

    def page(self, cursor: Cursor, peer: str, before: int | None, limit: int, now_ms: int) -> Page:
        """Return the last messages of a conversation, or those before a place."""
        query = (
            f"SELECT {_COLUMNS} FROM events WHERE peer = ? AND target IS NULL AND place < ? "  # noqa: S608 -- no value is in it
            "ORDER BY place DESC LIMIT ?"
        )
        upto = 2**63 - 1 if before is None else before
        rows = cursor.execute(query, (peer, upto, limit + 1)).fetchall()
        more, rows = len(rows) > limit, rows[:limit]
        messages = self._folded(cursor, peer, rows[::-1], now_ms)
        return Page(messages, rows[-1][0] if more else None)

    def at(self, cursor: Cursor, places: list[int], now_ms: int) -> list[thread.Message]:
        """Return the messages at these places, in their order."""
        found = []
        for place in places:
            query = f"SELECT peer, {_COLUMNS} FROM events WHERE place = ?"  # noqa: S608 -- no value is in it
            for peer, *row in cursor.execute(query, (place,)).fetchall():
                found += self._folded(cursor, peer, [row], now_ms)
        return found

    def message(self, cursor: Cursor, peer: str, id_: str, now_ms: int) -> thread.Message | None:
        """Return the first message of a conversation with this id, None if there is none."""
        query = "SELECT min(place) FROM events WHERE id = ? AND +peer = ? AND target IS NULL"
        found = cursor.execute(query, (id_, peer)).fetchall()
        return next(iter(self.at(cursor, [place for (place,) in found], now_ms)), None)

    def conversations(self, cursor: Cursor, now_ms: int) -> list[Conversation]:
        """Return all conversations, the one with the newest message first."""
        query = (
            "SELECT peer, max(place), coalesce(c.read_seq, 0), c.timer_s FROM events "
            "LEFT JOIN conversations c USING (peer) WHERE target IS NULL "
            "GROUP BY peer ORDER BY max(place) DESC"
        )
        unread = (
            "SELECT count(*) FROM events WHERE peer = ?1 AND author = ?1 AND target IS NULL AND seq > ?2 "
            "AND kind <> 'timer' AND coalesce(expires_at_ms, ?3 + 1) > ?3"
        )
        found = []
        for peer, _, read_seq, timer_s in cursor.execute(query).fetchall():
            count = 0
            if peer != self._me:
                count = cursor.execute(unread, (peer, read_seq, now_ms)).fetchone()[0]
            last = self.page(cursor, peer, None, 1, now_ms).messages
            found.append(Conversation(peer, count, last[-1] if last else None, timer_s, read_seq))
        return found

    def _folded(self, cursor: Cursor, peer: str, rows: list[Any], now_ms: int) -> list[thread.Message]:
        fold = thread.Thread(
            self._me, peer, covered(cursor, peer, "delivered"), covered(cursor, peer, "read")
        )
        for row in rows:
            for event in _events(row):
                fold.apply(event)
        for row in _about(cursor, peer, {row[1] for row in rows}):
            for event in _events(row):
                fold.apply(event)
        return fold.messages(now_ms)


def timers(cursor: Cursor) -> dict[str, int]:
    """Return the timers that are on, by peer."""
    query = "SELECT peer, timer_s FROM conversations WHERE timer_s IS NOT NULL"
    return dict(cursor.execute(query).fetchall())


def _about(cursor: Cursor, peer: str, ids: Iterable[str]) -> list[Any]:
    wanted, found = list(ids), []
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        query = f"SELECT {_COLUMNS} FROM events WHERE target IN ({marks}) AND +peer = ? AND kind <> 'past'"  # noqa: S608 -- no value is in it
        found += cursor.execute(query, (*some, peer)).fetchall()
    return sorted(found)


def _events(row: Any) -> Iterable[thread.Event]:
    _, id_, author, device, kind, content, reason, seq, at_ms, sent_at_ms, expires_at_ms, *rest = row
    delivered, failed, expired = rest
    if kind == "undecryptable":
        yield thread.Unreadable(author, device, id_, at_ms, sent_at_ms, reason, seq)
    else:
        yield thread.Written(author, device, id_, content, at_ms, sent_at_ms, seq, expires_at_ms)
    if delivered:
        yield thread.Delivered((id_,))
    if failed:
        yield thread.Failed(id_, failed)
    if expired:
        yield thread.Expired(id_)
