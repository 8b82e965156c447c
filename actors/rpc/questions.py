"""Questions of gateways to hosts over a link, and their answers: one struct for each, as MessagePack arrays.

A question has a number, its ``call``, and gets one `Reply` with the same.
"""

from msgspec import Raw, Struct

from storage.mailbox_rows import Conversation

# --- questions -------------------------------------------------------------------------------


class Sync(Struct, array_like=True, tag="sync"):
    """Entries after ``cursor`` for one device; answered by `Page`.

    Attributes:
        cursor: None: from the device's stored cursor.
        limit: 1-256 entries.
        wait_ms: How long to wait for a first entry if there is none.
    """

    call: int
    user: str
    device: str
    cursor: int | None
    limit: int
    wait_ms: int


class Gone(Struct, array_like=True, tag="gone"):
    """Whoever asked this `Sync` does not wait for the answer any longer (protocol 5)."""

    call: int
    user: str


class AckUpTo(Struct, array_like=True, tag="ack_up_to"):
    """As `Ack`, over HTTP; answered by an empty answer when it is durable."""

    call: int
    user: str
    device: str
    seq: int


class ReadUpTo(Struct, array_like=True, tag="read_up_to"):
    """The user has read everything from ``peer`` up to ``seq`` (own seq); answered when durable."""

    call: int
    user: str
    username: str
    peer: str
    peer_name: str
    seq: int


class SetBlock(Struct, array_like=True, tag="set_block"):
    """Block or unblock; answered when it holds for every later record."""

    call: int
    user: str
    peer: str
    peer_name: str
    blocked: bool


class AddContact(Struct, array_like=True, tag="add_contact"):
    """The user wrote to ``peer``, or accepted it (protocol 4); answered when durable."""

    call: int
    user: str
    peer: str
    peer_name: str


class PresenceOf(Struct, array_like=True, tag="presence_of"):
    """What ``watcher`` may see of ``user``'s presence; answered by `PresenceState`."""

    call: int
    watcher: str
    user: str


class Watermarks(Struct, array_like=True, tag="watermarks"):
    """How far ``peer`` has received and read what ``user`` sent; answered by `Marks`."""

    call: int
    user: str
    peer: str


class Refresh(Struct, array_like=True, tag="refresh"):
    """The user's devices or settings changed in the store: load them again; answered when done.

    Attributes:
        renewed: The device that has a new push token, '' if it is about something else. It is woken for what
            waits.
    """

    call: int
    user: str
    renewed: str = ""


class Unstored(Struct, array_like=True, tag="unstored"):
    """What of the user's mailbox and conversations is in memory only (protocol 3); answered by `InMemory`."""

    call: int
    user: str


class RoomFor(Struct, array_like=True, tag="room_for"):
    """May ``sender`` send to ``user`` (protocol 5)? Answered by `Done`, or by a `Refusal` if not."""

    call: int
    user: str
    sender: str


Question = (
    Sync | AckUpTo | ReadUpTo | SetBlock | AddContact | PresenceOf | Watermarks | Refresh | Unstored | RoomFor
)

# --- answers ---------------------------------------------------------------------------------


class Page(Struct, array_like=True, tag="page"):
    """The answer to `Sync`."""

    cursor: int
    entries: list[Raw]
    more: bool
    missed: bool


class PresenceState(Struct, array_like=True, tag="presence_state"):
    """The answer to `PresenceOf`."""

    online: bool
    last_seen_ms: int | None


class Marks(Struct, array_like=True, tag="marks"):
    """The answer to `Watermarks`; times are 0 where nothing was delivered or read."""

    delivered_seq: int
    read_seq: int
    delivered_at_ms: int
    read_at_ms: int


class InMemory(Struct, array_like=True, tag="in_memory"):
    """The answer to `Unstored`.

    Attributes:
        entries: ``(seq, record)``, lowest seq first. Some of them may be stored meanwhile.
        rows: Conversations as they are to be stored, the newest of a pair last.
    """

    entries: list[tuple[int, bytes]]
    rows: list[Conversation]


class Done(Struct, array_like=True, tag="done"):
    """The empty answer."""


class Refusal(Struct, array_like=True, tag="refusal"):
    """The answer is an error of the registry."""

    code: str
    detail: str


Answer = Page | PresenceState | Marks | InMemory | Done | Refusal


class Reply(Struct, array_like=True, tag="reply"):
    """Answers the question with the same ``call``."""

    call: int
    answer: Answer
