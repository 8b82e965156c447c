"""What a conversation shows: a fold over what happened in it.

Pure. The web client has the same rules (``docs/protocol.md``), and both are run on the same histories.

* Messages stand in the order in which they came to be known here.
* An edit or a deletion counts if its author wrote the message; a reaction counts from either side, the last
  of each person. Each is about every message of the conversation with its id, earlier or later ones.
* Of two edits the one that came later counts; a deletion counts for good. What this device says comes when
  the server accepts it, and counts in advance, as the last; if it is refused it was never said.
* A message whose time is over is gone, with all that is about it.
* How far one's own message got follows from its number and the watermarks: the order in which they became
  known makes no difference.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal

from msgspec import Struct, structs

from roost.client.content import (
    Attachment,
    Content,
    Delete,
    Edit,
    FileReference,
    Reaction,
    Text,
    Timer,
    Unknown,
    read,
)
from roost.client.remarks import Proposed, Remark, Remarks, about

Kind = Literal["text", "file", "timer", "unknown", "undecryptable", "deleted"]
SendState = Literal["sending", "sent", "delivered", "read", "failed", "expired"]

JUMP: Final = 2**31
"""A seq this far beyond another was given by another log (``docs/architecture.md``).

A base rises by 2^32 beyond what was *stored*, so a number that was lost with the old log may be less
than 2^32 below one of the new log. No log holds anything near 2^31 records that are not stored.
"""


class Event(Struct, frozen=True, tag_field="type", omit_defaults=True):
    """Something that happened in the conversation."""


class Written(Event, frozen=True, tag="message"):
    """A message of either side; a repeat of one that is known changes nothing.

    Attributes:
        author: Who wrote it.
        device: On which device.
        id: Its id.
        content: As it was sealed.
        at_ms: When the server accepted it, or when it was written if that is not known yet.
        sent_at_ms: When it was written, by its author's clock.
        seq: Its number in the mailbox of whom it was sent to; None: not accepted yet.
        expires_at_ms: When its time is over; None: never.
    """

    author: str
    device: str
    id: str
    content: bytes
    at_ms: int
    sent_at_ms: int
    seq: int | None = None
    expires_at_ms: int | None = None


class Unreadable(Event, frozen=True, tag="undecryptable"):
    """A message that could not be opened; if it comes again and can be, it takes this place."""

    author: str
    device: str
    id: str
    at_ms: int
    sent_at_ms: int
    reason: str
    seq: int | None = None


class Accepted(Event, frozen=True, tag="accepted"):
    """The server has one's own message, as number ``seq``; its time runs from now on."""

    id: str
    seq: int
    at_ms: int


class Delivered(Event, frozen=True, tag="delivered"):
    """These of one's own messages are known to be delivered."""

    ids: tuple[str, ...]


class Failed(Event, frozen=True, tag="failed"):
    """One's own message is not sent again."""

    id: str
    code: str


class Expired(Event, frozen=True, tag="expired"):
    """The time of one's own message was over before it was known to be delivered."""

    id: str


class Renamed(Event, frozen=True, tag="renamed"):
    """One's own message is sent under another id, and keeps what was said about it until then."""

    id: str
    new_id: str


class Receipt(Event, frozen=True, tag="receipt"):
    """The peer's watermarks."""

    delivered_seq: int = 0
    read_seq: int = 0


class Message(Struct, frozen=True, omit_defaults=True):
    """A message as it is shown.

    Attributes:
        peer: Whose conversation it is in.
        id: Its id.
        author: Who wrote it.
        device: On which device.
        mine: The author is this user.
        kind: What it is.
        text: The text, or a file's caption, as it was last edited.
        at_ms: When the server accepted it; until then when it was written.
        sent_at_ms: When it was written, by its author's clock.
        seq: Its number, once accepted.
        reply_to: The id of the message that it answers.
        file: The file that it brings.
        expires_in_s: Of a ``timer``: messages disappear so long after they were sent; None: they stay.
        edited_at_ms: When it was last edited.
        reactions: Who reacted with what, sorted.
        state: How far one's own message got; None if it is the peer's.
        code: Of ``failed`` a code of the registry, of ``undecryptable`` the reason, of ``unknown`` the kind.
        expires_at_ms: When it disappears.
    """

    peer: str
    id: str
    author: str
    device: str
    mine: bool
    kind: Kind
    text: str
    at_ms: int
    sent_at_ms: int
    seq: int | None = None
    reply_to: str | None = None
    file: FileReference | None = None
    expires_in_s: int | None = None
    edited_at_ms: int | None = None
    reactions: dict[str, list[str]] = {}
    state: SendState | None = None
    code: str = ""
    expires_at_ms: int | None = None


def is_shown(content: Content) -> bool:
    """Return whether content has a place of its own in the conversation."""
    return isinstance(content, Text | Attachment | Timer | Unknown)


class Covered:
    """The numbers that a watermark has ever covered.

    Args:
        ranges: Of those before: above which number, and up to which.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self.ranges = list(ranges)

    def add(self, watermark: int) -> None:
        """Add what this watermark covers, 0 being none: it covers no number of a log before its own."""
        if not watermark:
            return
        above, upto, apart = watermark - JUMP, watermark, []
        for low, high in self.ranges:
            if low <= upto and above <= high:
                above, upto = min(low, above), max(high, upto)
            else:
                apart.append((low, high))
        self.ranges = [*apart, (above, upto)]

    def __contains__(self, seq: int) -> bool:
        return any(above < seq <= upto for above, upto in self.ranges)


class _Entry(Struct):
    """A message with what is known of its way."""

    author: str
    device: str
    id: str
    at_ms: int
    sent_at_ms: int
    seq: int | None
    content: Content | None
    reason: str = ""
    expires_at_ms: int | None = None
    delivered: bool = False
    failed: str = ""
    expired: bool = False


class Thread:
    """One conversation.

    Args:
        me: This user.
        peer: The other one; this user, too, in the notes to oneself.
        delivered: What the peer's watermark of delivery has covered before.
        read: What its watermark of reading has covered before.

    Attributes:
        timer_s: The time after which new messages disappear, as it was last set; None: they stay.
    """

    def __init__(
        self, me: str, peer: str, delivered: Covered | None = None, read: Covered | None = None
    ) -> None:
        self.timer_s: int | None = None
        self._me, self._peer = me, peer
        self._entries: list[_Entry] = []
        self._known: dict[tuple[str, str, str], _Entry | None] = {}
        self._own: dict[str, list[_Entry]] = {}
        self._remarks: dict[str, Remarks] = {}
        self._proposed: dict[str, str] = {}
        self._delivered = delivered or Covered()
        self._read = read or Covered()

    def apply(self, event: Event) -> None:  # noqa: C901, PLR0912 - a line an event
        """Take in what happened next."""
        match event:
            case Written():
                self._written(event)
            case Unreadable():
                key = (event.author, event.device, event.id)
                if key not in self._known:
                    self._add(_Entry(*key, event.at_ms, event.sent_at_ms, event.seq, None, event.reason))
            case Receipt(delivered_seq=delivered, read_seq=read_):
                self._delivered.add(delivered)
                self._read.add(read_)
            case Delivered(ids=ids):
                for entry in (each for id_ in ids for each in self._own.get(id_, ())):
                    entry.delivered = True
            case Accepted(id=id_):
                for entry in self._own.get(id_, ()):
                    if entry.expires_at_ms is not None:
                        entry.expires_at_ms += event.at_ms - entry.at_ms
                    entry.seq, entry.at_ms = event.seq, event.at_ms
                self._accepted(id_, event.at_ms)
            case Failed(id=id_):
                for entry in self._own.get(id_, ()):
                    entry.failed = event.code
                self._withdraw(id_)
            case Expired(id=id_):
                for entry in self._own.get(id_, ()):
                    entry.expired = True
                self._withdraw(id_)
            case Renamed(id=id_, new_id=new_id):
                self._rename(id_, new_id)

    def messages(self, now_ms: int) -> list[Message]:
        """Return what is shown at this time, in the order in which it came."""
        return [self._shown(entry) for entry in self._entries if entry.expired or not _is_over(entry, now_ms)]

    def _written(self, event: Written) -> None:
        key = (event.author, event.device, event.id)
        known = self._known.get(key)
        if key in self._known and (known is None or known.content is not None):
            return
        content = read(event.content)
        match content:
            case Reaction() | Edit() | Delete():
                self._remark(event, content)
            case Timer(expires_in_s=seconds):
                self.timer_s = seconds
        if not is_shown(content):
            self._known[key] = None
        elif known is not None:
            known.content, known.reason = content, ""
            known.at_ms, known.seq, known.expires_at_ms = event.at_ms, event.seq, event.expires_at_ms
        else:
            entry = _Entry(*key, event.at_ms, event.sent_at_ms, event.seq, content)
            entry.expires_at_ms = event.expires_at_ms
            self._add(entry)

    def _remark(self, event: Written, remark: Remark) -> None:
        target = about(remark) or ""
        remarks = self._remarks.setdefault(target, Remarks())
        if event.author == self._me and event.seq is None:
            remarks.proposed.append(Proposed(event.id, remark, event.at_ms))
            self._proposed[event.id] = target
        else:
            remarks.note(event.author, remark, event.at_ms)

    def _accepted(self, id_: str, at_ms: int) -> None:
        target = self._proposed.get(id_, "")
        accepted = self._withdraw(id_)
        if accepted is not None:
            self._remarks[target].note(self._me, accepted.remark, at_ms)

    def _withdraw(self, id_: str) -> Proposed | None:
        target = self._proposed.pop(id_, None)
        return None if target is None else self._remarks[target].withdraw(id_)

    def _rename(self, id_: str, new_id: str) -> None:
        target = self._proposed.pop(id_, None)
        if target is not None:
            self._proposed[new_id] = target
            for each in self._remarks[target].proposed:
                each.id = new_id if each.id == id_ else each.id
        moved = self._own.pop(id_, [])
        if not moved:
            return
        self._own.setdefault(new_id, []).extend(moved)
        for entry in moved:
            entry.id = new_id
        before = self._remarks.pop(id_, Remarks())
        self._remarks.setdefault(new_id, Remarks()).join(before, self._me)
        self._proposed.update((each.id, new_id) for each in before.proposed)

    def _add(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._known[entry.author, entry.device, entry.id] = entry
        if entry.author == self._me:
            self._own.setdefault(entry.id, []).append(entry)

    def _shown(self, entry: _Entry) -> Message:
        mine = entry.author == self._me
        state = self._state(entry) if mine else None
        bare = Message(
            *(self._peer, entry.id, entry.author, entry.device, mine),
            *("deleted", "", entry.at_ms, entry.sent_at_ms),
            seq=entry.seq,
            state=state,
            code=entry.failed if state == "failed" else "",
            expires_at_ms=entry.expires_at_ms,
        )
        remarks = self._remarks.get(entry.id, Remarks()).standing(self._me)
        if entry.expired or entry.author in remarks.deleted:
            return bare
        return structs.replace(bare, reactions=_by_emoji(remarks.reactions), **self._body(entry, remarks))

    def _body(self, entry: _Entry, remarks: Remarks) -> dict[str, Any]:
        text, edited_at_ms = remarks.edits.get(entry.author, (None, None))
        edited = {"edited_at_ms": edited_at_ms}
        match entry.content:
            case Text():
                words = entry.content.text if text is None else text
                return {"kind": "text", "text": words, "reply_to": entry.content.reply_to, **edited}
            case Attachment(file=file, caption=caption, reply_to=reply_to):
                words = (caption or "") if text is None else text
                return {"kind": "file", "text": words, "file": file, "reply_to": reply_to, **edited}
            case Timer(expires_in_s=seconds):
                return {"kind": "timer", "expires_in_s": seconds}
            case Unknown(kind=kind):
                return {"kind": "unknown", "code": kind}
            case _:
                return {"kind": "undecryptable", "code": entry.reason}

    def _state(self, entry: _Entry) -> SendState:
        # What has expired is passed by the watermarks whether the peer ever had it or not.
        if entry.expired:
            return "expired"
        if entry.seq is not None and entry.seq in self._read:
            return "read"
        if entry.delivered or (entry.seq is not None and entry.seq in self._delivered):
            return "delivered"
        if entry.failed:
            return "failed"
        return "sending" if entry.seq is None else "sent"


def _by_emoji(reactions: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for author, emoji in sorted(reactions.items()):
        if emoji:
            found.setdefault(emoji, []).append(author)
    return found


def _is_over(entry: _Entry, now_ms: int) -> bool:
    return entry.expires_at_ms is not None and entry.expires_at_ms <= now_ms
