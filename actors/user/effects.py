"""Effects: the things that a user actor asks its host to do. Values: comparable, and performed in batches.

``seq`` in a durable effect names the record that caused it: the host reports that record as
stored only when all durable effects of it are done.
"""

from typing import Literal

from msgspec import Struct

from roost import wire
from storage.mailbox_rows import Block, Conversation, MailboxDocument
from storage.records import MessageRecord

Held = Literal["", "polled", "beside"]
"""Why a wake-up need not go out at once."""


class Store(Struct, frozen=True):
    """Insert the entry. Durable."""

    document: MailboxDocument


class KeepStub(Struct, frozen=True):
    """Keep what answers the sender of a message that goes nowhere. Durable."""

    seq: int
    record: MessageRecord


class PutRow(Struct, frozen=True):
    """Write the conversation row, then answer ``token``. Durable when ``seq`` is not 0."""

    row: Conversation
    seq: int
    token: object = None


class Wake(Struct, frozen=True):
    """Write a wake-up for the device to the push topic. Durable when a record caused it (``seq`` > 0).

    Attributes:
        device: Which.
        cause: The message's id, '' if it was no message.
        seq: The record that is the reason, 0 if none is.
        urgent: Whether it may wake a sleeping phone.
        fresh: The device has come since the last one, or has another token.
        held: ``polled``: a sync of the device waits and gets the message, so that the device is to be woken
            only if it does not acknowledge; ``beside``: another device of the user is there; '': neither.
    """

    device: str
    cause: str
    seq: int
    urgent: bool
    fresh: bool = False
    held: Held = ""


class PutBlock(Struct, frozen=True):
    """Write the block, then answer ``token``."""

    block: Block
    token: object


class EmitReceipt(Struct, frozen=True):
    """Tell ``to`` how far this user has received and read; merged with what waits, by maximum.

    ``token`` is answered when this and the row with the same token are durable.
    """

    to: str
    delivered_seq: int
    read_seq: int
    token: object = None


class PutFloor(Struct, frozen=True):
    """Raise the device's floor. Durable when a record caused it (``seq`` > 0)."""

    device: str
    floor: int
    seq: int


class PutCursor(Struct, frozen=True):
    """Write the device's cursor, after the receipts that were emitted before; then answer ``token``."""

    device: str
    seq: int
    token: object


class ClearWakeup(Struct, frozen=True):
    """The device is here: it may be woken again later."""

    device: str


class Attached(Struct, frozen=True):
    """The stream is served from now on."""

    stream: int
    cursor: int


class Deliver(Struct, frozen=True):
    """Send the entries down the stream."""

    stream: int
    entries: tuple[wire.Entry, ...]


class Drained(Struct, frozen=True):
    """The stream's backlog has been sent, ``prev`` as the last of it; the device goes on from ``cursor``."""

    stream: int
    prev: int
    cursor: int


class Missed(Struct, frozen=True):
    """Entries after the stream's cursor are gone."""

    stream: int


class Close(Struct, frozen=True):
    """End the stream with this code."""

    stream: int
    code: str
    detail: str


class ReadPage(Struct, frozen=True):
    """Read stored entries ``after < seq <= upto`` and answer with `events.PageRead`."""

    reader: object
    after: int
    upto: int
    limit: int


class TellTyping(Struct, frozen=True):
    """Tell the stream who is typing."""

    stream: int
    sender_name: str
    state: Literal["typing", "paused"]


class TellPresence(Struct, frozen=True):
    """Tell a watcher."""

    watcher: str
    online: bool
    last_seen_ms: int | None


class PresenceChanged(Struct, frozen=True):
    """Record it in the cache, and the time in the account when going offline."""

    online: bool
    at_ms: int


class AnswerPage(Struct, frozen=True):
    """The answer to a sync."""

    token: object
    cursor: int
    entries: tuple[wire.Entry, ...]
    more: bool
    missed: bool


class AnswerPresence(Struct, frozen=True):
    """The answer to `events.PresenceAsked`."""

    token: object
    online: bool
    last_seen_ms: int | None


class AnswerMarks(Struct, frozen=True):
    """The answer to `events.MarksAsked`."""

    token: object
    row: Conversation | None


class AnswerDone(Struct, frozen=True):
    """It is done."""

    token: object


class Refuse(Struct, frozen=True):
    """The answer is an error of the registry."""

    token: object
    code: str
    detail: str


class TellRoom(Struct, frozen=True):
    """Tell gateways whether a budget of this user is used up: then they ask before they accept."""

    full: bool


class SetTimer(Struct, frozen=True):
    """Send `events.TimePassed` at this time, in Unix milliseconds."""

    at_ms: int


Effect = (
    Store
    | KeepStub
    | PutRow
    | Wake
    | PutFloor
    | PutBlock
    | EmitReceipt
    | PutCursor
    | ClearWakeup
    | Attached
    | Deliver
    | Drained
    | Missed
    | Close
    | ReadPage
    | TellTyping
    | TellPresence
    | PresenceChanged
    | AnswerPage
    | AnswerPresence
    | AnswerMarks
    | AnswerDone
    | Refuse
    | TellRoom
    | SetTimer
)


def refuse(out: list[Effect], token: object, code: str, detail: str) -> None:
    """Refuse what was asked, if the answer is awaited."""
    if token is not None:
        out.append(Refuse(token, code, detail))
