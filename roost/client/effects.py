"""The effects of the core: what it asks the shell to do."""

from typing import Any

from msgspec import Struct

from roost.client.events import Event
from roost.client.state import OutboxItem
from roost.wire import ClientFrame, Entry, MessageEntry, SentEntry, ServerFrame


class Opaque(Struct):
    """An entry of an unknown type, as far as it can be read."""

    seq: int
    prev: int
    kind: str


class Batch(Struct):
    """Decoded entries that arrived together, in ``seq`` order."""

    entries: list[Entry | Opaque]


Incoming = ServerFrame | Batch
"""What the core is handed: frames, with entries decoded."""


class Write(Struct):
    """Send this frame."""

    frame: ClientFrame


class Seal(Struct):
    """Encrypt this message for the recipient's devices and answer with ``sealed`` or ``unsealable``.

    Attributes:
        item: The message.
        refresh: The keys at hand are known to be wrong: ask the server for them first.
        own: It is those of this user's other devices that are.
    """

    item: OutboxItem
    refresh: bool
    own: bool = False


class Reissue(Struct):
    """The message was never accepted, and its id is refused for its time: answer with ``reissued``."""

    item: OutboxItem


class Check(Struct):
    """Ask the server for its view of this message and answer with ``checked``."""

    id: str
    to: str


class Requery(Struct):
    """The keys of this user have changed: ask the server for them."""

    peer: str


class Take(Struct):
    """Hand these to the app, after everything before; then call ``taken(seq)``.

    Attributes:
        seq: The entry's number.
        entry: A message, or the copy of one, to be opened, if it is one.
        events: What to tell otherwise.
    """

    seq: int
    entry: MessageEntry | SentEntry | None = None
    events: tuple[Event, ...] = ()


class Tell(Struct):
    """Tell the app; the order to mailbox entries does not matter."""

    event: Event


class Resync(Struct):
    """Drop the connection and come back with the cursor: something was left out."""


class Renew(Struct):
    """The access token is about to expire: refresh it and send ``auth``."""


class Refill(Struct):
    """The device's fallback key was given out: upload another one."""


Effect = Write | Seal | Reissue | Check | Requery | Take | Tell | Resync | Renew | Refill


def known_state(answer: dict[str, Any] | None) -> str | None:
    """Return the state in an answer of ``GET /v1/messages/{id}``, ``None`` if the message is unknown."""
    return None if answer is None else str(answer.get("state", "accepted"))
