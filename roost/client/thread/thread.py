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

from typing import Any

from msgspec import Struct, structs

from roost.client.content import Attachment, Content, Delete, Edit, Reaction, Text, Timer, Unknown, read
from roost.client.thread.covered import Covered
from roost.client.thread.events import (
    Accepted,
    Delivered,
    Event,
    Expired,
    Failed,
    Receipt,
    Renamed,
    Unreadable,
    Written,
)
from roost.client.thread.message import Message, SendState, is_shown
from roost.client.thread.remarks import Proposed, Remark, Remarks, about


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
