"""Events: the things that can happen to a user actor. They carry all it needs: no clock, no look-up.

``token`` stands for whoever asked and is handed back in the effect that answers.

Every event has a ``cause``: what set it off, in the words to look for in logs and traces. It is made from
what the event carries anyway, and only when it is asked for. A record's is the id that the sending client
gave the message; that id goes on into the document, the wake-up and the entry. Where no message is behind an
event it names the stream, the call, the peer or the timer that brought it.
"""

from typing import Literal

from msgspec import Struct

from storage.account_rows import Device, User
from storage.mailbox_rows import Block, Conversation
from storage.records import Record


class Item(Struct, frozen=True):
    """One entry of the mailbox: a record with its number."""

    seq: int
    record: Record


class _OfStream(Struct, frozen=True):
    stream: int

    @property
    def cause(self) -> str:
        """The stream."""
        return f"stream {self.stream}"


class _Question(Struct, frozen=True):
    token: object

    @property
    def cause(self) -> str:
        """The call, as the host knows it."""
        return f"call {self.token}"


class _OfWatcher(Struct, frozen=True):
    watcher: str

    @property
    def cause(self) -> str:
        """The peer that watches."""
        return f"watcher {self.watcher}"


class RecordArrived(Struct, frozen=True):
    """The log has a record for this user.

    Attributes:
        seq: base + offset.
        record: Decoded record.
        value: The same, byte for byte.
    """

    seq: int
    record: Record
    value: bytes

    @property
    def cause(self) -> str:
        """The id of the message; a receipt tells of many messages, so it is known by its number."""
        return self.record.cause or f"record {self.seq}"


class StreamAttached(_OfStream, frozen=True):
    """A device's stream wants the mailbox; see `actors.rpc.messages.Attach`."""

    device: str
    cursor: int | None
    acked: int
    background: bool
    resume: bool


class StreamDetached(_OfStream, frozen=True):
    """The stream is gone."""


class Acked(Struct, frozen=True):
    """The device holds everything up to ``seq``; ``token`` is set when an answer is awaited."""

    device: str
    seq: int
    stream: int | None = None
    token: object = None

    @property
    def cause(self) -> str:
        """The stream or the call that it came by."""
        return f"call {self.token}" if self.stream is None else f"stream {self.stream}"


class ReadMarked(Struct, frozen=True):
    """The user has read everything from ``peer`` up to ``seq``."""

    peer: str
    peer_name: str
    seq: int
    token: object = None

    @property
    def cause(self) -> str:
        """The call that it came by."""
        return f"call {self.token}"


class TypingHeard(Struct, frozen=True):
    """``sender`` is typing to this user."""

    sender: str
    sender_name: str
    state: Literal["typing", "paused"]

    @property
    def cause(self) -> str:
        """The peer that is typing."""
        return f"typing of {self.sender}"


class PageRead(Struct, frozen=True):
    """Stored entries that a `effects.ReadPage` asked for.

    Attributes:
        reader: Stream number, or the token of a sync.
        items: Entries with ``after < seq <= upto``, lowest first.
        through: Everything up to here was looked at.
        gone: Entries after ``after`` are gone up to this one; 0: none is.
    """

    reader: object
    items: tuple[Item, ...]
    through: int
    gone: int

    @property
    def cause(self) -> str:
        """What the page was read for."""
        return f"{'stream' if isinstance(self.reader, int) else 'call'} {self.reader}"


class SyncAsked(_Question, frozen=True):
    """One page for a device without a stream; wait until ``until_ms`` for a first entry."""

    device: str
    cursor: int | None
    limit: int
    until_ms: int


class AskerGone(_Question, frozen=True):
    """Whoever asked, by this token, does not wait for the answer any longer."""


class BlockAsked(_Question, frozen=True):
    """Block or unblock ``peer`` from the next record on.

    Attributes:
        since: Version of the map that gave the host the user, 0 if unknown.
    """

    peer: str
    peer_name: str
    blocked: bool
    since: int = 0


class ContactMade(_Question, frozen=True):
    """The user wrote to ``peer``, or accepted it."""

    peer: str
    peer_name: str


class Watched(_OfWatcher, frozen=True):
    """``watcher`` wants this user's presence."""


class Unwatched(_OfWatcher, frozen=True):
    """``watcher`` no longer wants it."""


class PresenceAsked(_Question, frozen=True):
    """What may ``watcher`` see?"""

    watcher: str


class MarksAsked(_Question, frozen=True):
    """How far has ``peer`` received and read?"""

    peer: str


class RoomAsked(_Question, frozen=True):
    """May ``sender`` send a message?"""

    sender: str


class TimePassed(Struct, frozen=True):
    """A deadline the actor named may have been reached."""

    @property
    def cause(self) -> str:
        """The host's timer: nothing outside set it off."""
        return "timer"


class Refreshed(_Question, frozen=True):
    """The account or its devices were loaded again.

    Attributes:
        renewed: The device whose new push token is the reason, '' if another thing is.
    """

    user: User
    devices: tuple[Device, ...]
    renewed: str = ""


Event = (
    RecordArrived
    | StreamAttached
    | StreamDetached
    | Acked
    | ReadMarked
    | TypingHeard
    | PageRead
    | SyncAsked
    | AskerGone
    | BlockAsked
    | ContactMade
    | Watched
    | Unwatched
    | PresenceAsked
    | MarksAsked
    | RoomAsked
    | TimePassed
    | Refreshed
)


# --- what an event may need to know first: the host looks it up and tells the actor ----------------


class RepeatUnknown(Struct, frozen=True):
    """Whether the mailbox below ``below`` holds this message has not been looked up."""

    sender: str
    device: str
    cause: str
    below: int

    @property
    def source(self) -> str:
        """See `storage.records.MessageRecord.source`."""
        return self.sender + self.device


class CursorUnknown(Struct, frozen=True):
    """Whether this is a position of the mailbox has not been looked up."""

    seq: int


class SendersUnknown(Struct, frozen=True):
    """The stored entries with ``after < seq <= upto`` are needed."""

    after: int
    upto: int


Unknown = RepeatUnknown | CursorUnknown | SendersUnknown


class Loaded(Struct, frozen=True):
    """Everything an actor starts from.

    Attributes:
        user: The account.
        devices: Its devices.
        cursors: Stored cursor by device.
        blocks: Blocks, lifted ones too.
        rows: What it knows of its conversations.
        newest: Greatest message id among the stored entries that count, '' if there is none.
        tail: seq of the newest stored entry that counts, 0 if there is none.
        handled: Records up to here have been handled (the shard's floor).
        recent: The newest stored entries that count, lowest first, none left out after the first of them. Who
            was attached a moment ago reads and acknowledges from there on, and nothing has to be looked up.
        totals: Messages that the mailbox was given, and their weight, up to the newest entry that counts.
        undelivered: How many of them no device has acknowledged, and their weight.
    """

    user: User
    devices: tuple[Device, ...]
    cursors: dict[str, int]
    blocks: tuple[Block, ...]
    rows: tuple[Conversation, ...]
    newest: str
    tail: int
    handled: int
    recent: tuple[Item, ...] = ()
    totals: tuple[int, int] = (0, 0)
    undelivered: tuple[int, int] = (0, 0)


class Facts(Struct, frozen=True):
    """Answers to `Unknown`."""

    repeats: tuple[tuple[str, str, int], ...] = ()
    cursors: tuple[tuple[int, bool], ...] = ()
    items: tuple[tuple[int, int, tuple[Item, ...]], ...] = ()
