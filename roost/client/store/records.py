"""What happened, as changes of the tables: each is repeatable, and ends in the rows that the fold reads.

Each function returns whether content was removed, which then has to go from the whole file.
"""

from math import inf
from typing import Final

from roost.client import thread
from roost.client.content import (
    Attachment,
    Content,
    Delete,
    Edit,
    Reaction,
    ReadUpTo,
    Text,
    Timer,
    Unknown,
    encode,
    read,
)
from roost.client.store.database import Cursor
from roost.client.thread.remarks import about, turned_to

_KINDS: Final[dict[type, str]] = {
    Text: "text",
    Attachment: "file",
    Timer: "timer",
    Unknown: "unknown",
    Reaction: "reaction",
    Edit: "edit",
    Delete: "delete",
}

# A plus sign before `peer` has SQLite look for the id, not through the whole conversation.
_INSERT: Final = """
INSERT INTO events (
    place, peer, id, author, device, kind, target, content, reason, seq, at_ms, sent_at_ms, expires_at_ms
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    kind = excluded.kind, content = excluded.content, reason = '', seq = excluded.seq, at_ms = excluded.at_ms,
    expires_at_ms = excluded.expires_at_ms
WHERE events.kind = 'undecryptable' AND excluded.kind <> 'undecryptable' AND excluded.target IS NULL
"""


class Record:
    """The changes of one user's tables.

    Args:
        me: The user.
    """

    def __init__(self, me: str) -> None:
        self._me = me

    def event(self, cursor: Cursor, peer: str, event: thread.Event, *, place: int | None = None) -> bool:
        """Record what happened in a conversation; return whether content was removed.

        Args:
            cursor: In a transaction.
            peer: With whom.
            event: What happened.
            place: Where a message is to stand; None: after all that there are.
        """
        match event:
            case thread.Written():
                return self._written(cursor, peer, event, place)
            case thread.Unreadable():
                whose = (place, peer, event.id, event.author, event.device)
                row = (*whose, "undecryptable", None, b"", event.reason)
                cursor.execute(_INSERT, (*row, event.seq, event.at_ms, event.sent_at_ms, None))
            case thread.Receipt():
                _cover(cursor, peer, "delivered", event.delivered_seq)
                _cover(cursor, peer, "read", event.read_seq)
            case thread.Delivered(ids=ids):
                own = [(self._me, id_) for id_ in ids]
                cursor.executemany("UPDATE events SET delivered = 1 WHERE author = ? AND id = ?", own)
            case thread.Accepted(id=id_, seq=seq, at_ms=at_ms):
                return self._accepted(cursor, peer, id_, seq, at_ms)
            case thread.Failed(id=id_, code=code):
                change = "UPDATE events SET failed = ? WHERE author = ? AND id = ?"
                cursor.execute(change, (code, self._me, id_))
                return self._take_back(cursor, peer, id_)
            case thread.Expired(id=id_):
                return self._expired(cursor, peer, id_)
            case thread.Renamed(id=id_, new_id=new_id):
                change = "UPDATE OR IGNORE events SET id = ? WHERE author = ? AND id = ? AND target IS"
                cursor.execute(f"{change} NOT NULL AND seq IS NULL", (new_id, self._me, id_))
                cursor.execute(f"{change} NULL", (new_id, self._me, id_))
                if cursor.rowcount:
                    _turn_to(cursor, peer, id_, new_id)
        return False

    def _expired(self, cursor: Cursor, peer: str, id_: str) -> bool:
        change = "UPDATE events SET expired = 1 WHERE author = ? AND id = ? AND target IS NULL"
        cursor.execute(change, (self._me, id_))
        if cursor.rowcount:
            return _wipe(cursor, peer, self._me, id_)
        return self._take_back(cursor, peer, id_)

    def _accepted(self, cursor: Cursor, peer: str, id_: str, seq: int, at_ms: int) -> bool:
        """Record that the server has an own message; a remark comes after all that was said before."""
        proposed = self._proposed(cursor, peer, id_)
        cursor.execute(
            "UPDATE events SET seq = ?1, expires_at_ms = expires_at_ms + ?2 - at_ms, at_ms = ?2 "
            "WHERE author = ?3 AND id = ?4 AND (target IS NULL OR seq IS NULL)",
            (seq, at_ms, self._me, id_),
        )
        if proposed is None:
            return False
        place, target = proposed
        last = "UPDATE events SET place = (SELECT max(place) FROM events) + 1 WHERE place = ?"
        cursor.execute(last, (place,))
        return _settle(cursor, peer, self._me, target)

    def _take_back(self, cursor: Cursor, peer: str, id_: str) -> bool:
        """Record that a remark of this device, if it is one, came to nothing."""
        proposed = self._proposed(cursor, peer, id_)
        if proposed is None:
            return False
        place, target = proposed
        cursor.execute("UPDATE events SET content = x'', kind = 'past' WHERE place = ?", (place,))
        _settle(cursor, peer, self._me, target)
        return True

    def _proposed(self, cursor: Cursor, peer: str, id_: str) -> tuple[int, str] | None:
        """Return place and target of a remark that is not accepted; None: it is none."""
        query = (
            "SELECT place, target FROM events WHERE id = ? AND author = ? AND +peer = ? "
            "AND target IS NOT NULL AND seq IS NULL AND kind <> 'past'"
        )
        found: tuple[int, str] | None = cursor.execute(query, (id_, self._me, peer)).fetchone()
        return found

    def read_up_to(self, cursor: Cursor, peer: str, seq: int) -> bool:
        """Record that this user has read what ``peer`` wrote."""
        cursor.execute(
            "INSERT INTO conversations (peer, read_seq) VALUES (?, ?) "
            "ON CONFLICT DO UPDATE SET read_seq = max(read_seq, excluded.read_seq)",
            (peer, seq),
        )
        return False

    def _written(self, cursor: Cursor, peer: str, event: thread.Written, place: int | None) -> bool:
        content = read(event.content)
        if isinstance(content, ReadUpTo):
            # From anyone but this user it means nothing.
            return event.author == self._me and self.read_up_to(cursor, content.peer, content.seq)
        kind, target = _KINDS.get(type(content)), about(content)
        if kind is None:
            return False
        row = (place, peer, event.id, event.author, event.device, kind, target, event.content, "")
        cursor.execute(_INSERT, (*row, event.seq, event.at_ms, event.sent_at_ms, event.expires_at_ms))
        if not cursor.rowcount:
            return False
        if isinstance(content, Timer):
            _set_timer(cursor, peer, content.expires_in_s)
        if isinstance(content, Reaction):
            return False
        return _settle(cursor, peer, event.author, target or event.id)


def sweep(cursor: Cursor, now_ms: int) -> bool:
    """Remove the messages whose time is over, and what is about them; return whether there were some."""
    over = cursor.execute(
        "SELECT place, peer, id FROM events WHERE expires_at_ms <= ? AND target IS NULL AND NOT expired",
        (now_ms,),
    ).fetchall()
    cursor.executemany("DELETE FROM events WHERE place = ?", [row[:1] for row in over])
    about = (
        "target IS NOT NULL AND NOT EXISTS (SELECT 1 FROM events m WHERE m.id = e.target AND m.peer = e.peer)"
    )
    cursor.executemany(
        f"DELETE FROM events AS e WHERE +peer = ? AND target = ? AND {about}",  # noqa: S608 -- no value is in it
        [row[1:] for row in over],
    )
    alone = f"DELETE FROM events AS e WHERE expires_at_ms <= ? AND {about}"  # noqa: S608 -- likewise
    cursor.execute(alone, (now_ms,))
    return bool(over) or cursor.rowcount > 0


def next_end_ms(cursor: Cursor, now_ms: int) -> float:
    """Return when the next message disappears; infinity if none does."""
    query = "SELECT min(expires_at_ms) FROM events WHERE expires_at_ms > ? AND NOT expired"
    found: int | None = cursor.execute(query, (now_ms,)).fetchone()[0]
    return inf if found is None else found


def covered(cursor: Cursor, peer: str, tick: str) -> thread.Covered:
    """Return what a peer's watermarks have covered."""
    query = "SELECT above, upto FROM receipts WHERE peer = ? AND tick = ?"
    return thread.Covered(cursor.execute(query, (peer, tick)).fetchall())


def _turn_to(cursor: Cursor, peer: str, id_: str, new_id: str) -> None:
    """Have what is about a message be about its new id."""
    about = "SELECT place, content FROM events WHERE +peer = ? AND target = ? AND kind <> 'past'"
    for place, data in cursor.execute(about, (peer, id_)).fetchall():
        said = read(data)
        if isinstance(said, Reaction | Edit | Delete):
            change = "UPDATE events SET target = ?, content = ? WHERE place = ?"
            cursor.execute(change, (new_id, encode(turned_to(said, new_id)), place))


def _cover(cursor: Cursor, peer: str, tick: str, watermark: int) -> None:
    if not watermark:
        return
    now = covered(cursor, peer, tick)
    now.add(watermark)
    cursor.execute("DELETE FROM receipts WHERE peer = ? AND tick = ?", (peer, tick))
    rows = [(peer, tick, above, upto) for above, upto in now.ranges]
    cursor.executemany("INSERT INTO receipts VALUES (?, ?, ?, ?)", rows)


def _set_timer(cursor: Cursor, peer: str, seconds: int | None) -> None:
    cursor.execute(
        "INSERT INTO conversations (peer, timer_s) VALUES (?, ?) "
        "ON CONFLICT DO UPDATE SET timer_s = excluded.timer_s",
        (peer, seconds),
    )


def _settle(cursor: Cursor, peer: str, author: str, id_: str) -> bool:
    """Give a message the text that it has now, or take its content away if it is deleted or has expired.

    What is deleted keeps its content until the server has accepted the deletion.
    """
    whose = (peer, author, id_)
    about = "FROM events WHERE +peer = ? AND author = ? AND target = ? AND kind ="
    expired = "SELECT 1 FROM events WHERE +peer = ? AND author = ? AND id = ? AND expired"
    is_gone = f"SELECT 1 {about} 'delete' AND seq IS NOT NULL UNION ALL {expired}"
    if cursor.execute(is_gone, whose * 2).fetchone():
        return _wipe(cursor, *whose)
    is_hidden = cursor.execute(f"SELECT 1 {about} 'delete'", whose).fetchone() is not None
    edits = f"SELECT content {about} 'edit' ORDER BY seq IS NULL DESC, place DESC LIMIT 1"
    edit = cursor.execute(edits, whose).fetchone()
    shown = "SELECT place, content FROM events WHERE +peer = ? AND author = ? AND id = ? AND target IS NULL"
    for place, data in cursor.execute(shown, whose).fetchall():
        text = None if is_hidden else _text(read(data), edit and read(edit[0]))
        cursor.execute("UPDATE events SET text = ? WHERE place = ?", (text, place))
    return False


def _text(content: Content, edit: Content | None) -> str | None:
    match content:
        case Text(text=text) | Attachment(caption=text):
            return edit.text if isinstance(edit, Edit) else text
        case _:
            return None


def _wipe(cursor: Cursor, peer: str, author: str, id_: str) -> bool:
    """Remove the content of a message, and that of its edits; return whether there was any."""
    cursor.execute(
        "UPDATE events SET content = x'', text = NULL, kind = iif(kind = 'undecryptable', kind, 'text') "
        "WHERE +peer = ? AND author = ? AND id = ? AND target IS NULL",
        (peer, author, id_),
    )
    wiped = cursor.rowcount
    cursor.execute(
        "UPDATE events SET content = x'', kind = 'past' "
        "WHERE +peer = ? AND author = ? AND target = ? AND kind = 'edit'",
        (peer, author, id_),
    )
    return wiped + cursor.rowcount > 0
