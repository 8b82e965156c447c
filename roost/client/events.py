"""The events that a client reports to its app."""

from typing import Literal

from msgspec import Struct

from roost.client.content import Content, File, line_of, read

KeyChange = Literal["added", "removed", "changed", "confirmed", "unconfirmed", "identity", "invalid"]
"""What happened to a device's keys, or to a person's identity.

``changed``: other keys for a known device, which no honest server gives. ``confirmed``: the owner's identity
has signed the device since. ``unconfirmed``: it does no longer. ``identity``: the person has another
identity, or one that no known device vouches for. ``invalid``: a bad signature.
"""


class Event(Struct, frozen=True):
    """Something that happened."""


class MessageReceived(Event, frozen=True):
    """A message, decrypted and verified; each is reported once.

    Attributes:
        peer: Sender's username.
        device: Sender's device.
        id: The message's id.
        seq: Its number in this mailbox.
        content: Plaintext, as its sender encoded it.
        sent_at_ms: When it was sent, by the sender's clock.
        at_ms: When the server accepted it.
        expires_at_ms: When the app is to remove it, as its sender wants, by the server's clock; None: never.
        file: The file that it brings, if it does.
        silent: It is a control message, to be taken into account and not shown by itself.
        confirmed: The sender's identity has signed the device; else the server may have made it up.
    """

    peer: str
    device: str
    id: str
    seq: int
    content: bytes
    sent_at_ms: int
    at_ms: int
    expires_at_ms: int | None = None
    file: File | None = None
    silent: bool = False
    confirmed: bool = False

    @property
    def body(self) -> Content:
        """What the content is."""
        return read(self.content)

    @property
    def text(self) -> str:
        """The content as text; bytes that are not UTF-8 are shown as replacement characters.

        Of anything but text it is a line in brackets that says what it is.
        """
        return line_of(self.body)


class Undecryptable(Event, frozen=True):
    """A message arrived that cannot be shown; ``reason`` is a word of ``roost.crypto.sealed.Reason``."""

    peer: str
    device: str
    id: str
    seq: int
    reason: str
    detail: str
    sent_at_ms: int = 0
    at_ms: int = 0


class Accepted(Event, frozen=True):
    """The server has the message durably since ``at_ms``, as number ``seq`` of the recipient's mailbox."""

    id: str
    peer: str
    seq: int
    at_ms: int = 0


class Expired(Event, frozen=True):
    """The time of the message is over: it is not sent again, and if no device has fetched it none will."""

    id: str
    peer: str


class Delivered(Event, frozen=True):
    """``peer`` has everything up to ``seq``; ``ids`` are the messages newly known to be there."""

    peer: str
    seq: int
    ids: tuple[str, ...] = ()


class Read(Event, frozen=True):
    """``peer`` has read everything up to ``seq``."""

    peer: str
    seq: int


class Failed(Event, frozen=True):
    """A message will not be sent again; ``code`` is a word of the registry of codes."""

    id: str
    peer: str
    code: str
    detail: str


class IdChanged(Event, frozen=True):
    """A message that was not accepted is sent under another id: the old one was made with a wrong clock."""

    id: str
    new_id: str
    peer: str


class SentElsewhere(Event, frozen=True):
    """Another of this user's devices has sent a message; each is reported once.

    Attributes:
        id: The message's id.
        peer: Who it was sent to.
        device: Which device sent it.
        seq: Its number in the peer's mailbox, which the peer's watermarks cover.
        sent_at_ms: When it was sent, by that device's clock.
        at_ms: When the server accepted it.
        content: Plaintext, as the device encoded it; None if there is no copy for this device.
        file: The file that it brings, if it does.
        expires_at_ms: When the app is to remove it; None: never.
        silent: It is a control message, to be taken into account and not shown by itself.
        reason: Why there is a copy that cannot be opened, as in `Undecryptable`; ``""`` if that is not so.
        detail: The same in a sentence.
    """

    id: str
    peer: str
    device: str
    seq: int
    sent_at_ms: int
    at_ms: int = 0
    content: bytes | None = None
    file: File | None = None
    expires_at_ms: int | None = None
    silent: bool = False
    reason: str = ""
    detail: str = ""

    @property
    def body(self) -> Content | None:
        """What the content is; None if there is no copy for this device."""
        return None if self.content is None else read(self.content)

    @property
    def text(self) -> str:
        """The content as text, as in `MessageReceived`; empty if there is none."""
        return "" if self.content is None else line_of(read(self.content))


class KeyChanged(Event, frozen=True):
    """The devices or keys of ``peer`` are not those of before: show it where the user cannot miss it.

    Nothing is sent to a peer whose ``identity`` or one of whose devices ``changed``, until the app calls
    ``trust(peer)``. A device that is not ``confirmed`` may be one that the server made up: it is sealed to,
    but with ``Options.hold_new_devices`` nothing is sent until its owner's identity has signed it, or
    ``trust(peer)``.

    Attributes:
        peer: The devices' owner.
        device: Which device; empty if it is about the person's identity.
        change: What happened.
        fingerprint: The device's Ed25519 key, or the person's master key, in base64.
        held: Nothing is sent to the peer until ``trust(peer)``.
        confirmed: The owner's identity, as this client knows it, has signed the device.
    """

    peer: str
    device: str
    change: KeyChange
    fingerprint: str = ""
    held: bool = False
    confirmed: bool = False


class Linked(Event, frozen=True):
    """Another device of this user has linked this one: it signs and is confirmed as that does.

    Attributes:
        device: The other device.
        peers: People whose keys, and verified marks, came along.
        lines: How much of the history came along: messages, and how far they got.
        problem: Why the people and the history did not, empty if they did.
    """

    device: str
    peers: int = 0
    lines: int = 0
    problem: str = ""


class Typing(Event, frozen=True):
    """``peer`` is typing to this user, or has paused."""

    peer: str
    state: Literal["typing", "paused"]


class Presence(Event, frozen=True):
    """A subscribed user came or went."""

    peer: str
    state: Literal["online", "offline"]
    last_seen_ms: int | None = None


class Connected(Event, frozen=True):
    """The session with the server is up."""

    cursor: int


class Synced(Event, frozen=True):
    """The backlog has been received."""

    cursor: int


class Missed(Event, frozen=True):
    """Entries after ``after`` are gone from the server; what is left continues before ``upto``."""

    after: int
    upto: int


class Unsupported(Event, frozen=True):
    """An entry of a kind that this version does not know."""

    seq: int
    kind: str


class Refused(Event, frozen=True):
    """The server refused a frame that was not a message."""

    frame: str
    code: str
    detail: str


class Disconnected(Event, frozen=True):
    """The session is down; ``final``: it will not be tried again (signed out, revoked)."""

    code: str
    final: bool = False
