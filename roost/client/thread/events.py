"""What happens in a conversation, as one device comes to know it."""

from msgspec import Struct


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
