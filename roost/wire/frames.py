"""The frames of the WebSocket, client's and server's."""

from typing import Literal

from msgspec import Raw, Struct

from roost.wire.numbers import Seq, Whole

WINDOW = 256
"""Entries that may be in flight to one stream, not yet acknowledged."""

PAGE_BYTES = 1024 * 1024
"""A page of entries ends with the one that takes its payloads to this, whatever was asked for."""

MAX_PAYLOAD = 64 * 1024
"""Bytes of one device's ciphertext."""

MAX_DEVICES = 20
"""Devices of one account with which it can be written to, so payloads of one message."""

MAX_FRAME = 4 * 1024 * 1024
"""Bytes of one client frame or request body; full payloads in base64 for all devices of the recipient, and
for all others of the sender, are less."""


MAX_SUBSCRIPTIONS = 1_000
"""Users whose presence one stream may follow."""

MAX_EXPIRY_S = 28 * 24 * 3600
"""The longest that a message may ask to be delivered for."""

_SEND_BESIDES = 512
_NAMED = 6
"""Quotes, colon and comma around a payload and its device."""


class Hello(Struct, tag="hello", tag_field="type"):
    """The first client frame. ``cursor`` omitted: from the device's stored cursor."""

    token: str | None = None
    cursor: int | None = None
    background: bool = False


class Send(Struct, tag="send", tag_field="type"):
    """A message to one user: one ciphertext for each of the recipient's devices.

    ``own`` has one for each other device of the sender, None: they get no copies. ``silent``: it is a control
    message.
    """

    id: str
    to: str
    sent_at_ms: int
    suite: str
    payloads: dict[str, bytes]
    urgent: bool = True
    expires_in_s: int | None = None
    own: dict[str, bytes] | None = None
    silent: bool = False


def send_size(payloads: dict[str, bytes], own: dict[str, bytes] | None = None) -> int:
    """Return what a ``send`` with these payloads takes at most, in bytes, whatever the encoding."""
    return _SEND_BESIDES + sum(
        len(name) + _NAMED + (len(each) + 2) // 3 * 4
        for name, each in (*payloads.items(), *(own or {}).items())
    )


class Ack(Struct, tag="ack", tag_field="type"):
    """Everything up to ``seq`` is safely on this device."""

    seq: int


class Read(Struct, tag="read", tag_field="type"):
    """The user has read everything from ``peer`` up to ``seq``."""

    peer: str
    seq: int


class Typing(Struct, tag="typing", tag_field="type"):
    """From a client: I am typing to ``peer``. From the server: ``peer`` is typing to you."""

    peer: str
    state: Literal["typing", "paused"]


class Subscribe(Struct, tag="subscribe", tag_field="type"):
    """Ask for the presence of these users; replaces the earlier list."""

    users: list[str]


class Ping(Struct, tag="ping", tag_field="type"):
    """Ask for a ``pong``."""


class Auth(Struct, tag="auth", tag_field="type"):
    """A fresh access token for the same device on the same socket."""

    token: str


ClientFrame = Hello | Send | Ack | Read | Typing | Subscribe | Ping | Auth


class Ready(Struct, tag="ready", tag_field="type", omit_defaults=True):
    """The stream is attached; the backlog after ``cursor`` follows.

    The device's keys: how many one-time keys are left by algorithm, and of which algorithms a fallback key is
    there that no one was given. None: not known this moment.
    """

    device_id: str
    cursor: Seq
    server_time_ms: Whole
    one_time_key_counts: dict[str, Whole] | None = None
    unused_fallback_key_types: list[str] | None = None


class Drained(Struct, tag="drained", tag_field="type"):
    """The backlog has been sent, ``prev`` as the last of it; ``cursor``, from which to go on, is its end.

    They differ where the messages behind ``prev`` have disappeared.
    """

    cursor: Seq
    prev: Seq


class Accepted(Struct, tag="accepted", tag_field="type"):
    """The message is durable."""

    id: str
    seq: Seq
    accepted_at_ms: Whole


class Rejected(Struct, tag="rejected", tag_field="type", omit_defaults=True):
    """The message was not accepted; ``code`` is a word of the registry."""

    id: str
    code: str
    detail: str
    retry_after_s: float | None = None
    missing: list[str] | None = None
    extra: list[str] | None = None
    own_missing: list[str] | None = None
    own_extra: list[str] | None = None


class Entries(Struct, tag="entries", tag_field="type"):
    """Mailbox entries in ``seq`` order. Each element is one encoded entry."""

    entries: list[Raw]


class Presence(Struct, tag="presence", tag_field="type", omit_defaults=True):
    """A subscribed user's presence, as far as privacy allows."""

    user: str
    state: Literal["online", "offline"]
    last_seen_ms: Whole | None = None


class Pong(Struct, tag="pong", tag_field="type"):
    """The answer to a ``ping``."""

    server_time_ms: Whole


class TokenExpiring(Struct, tag="token_expiring", tag_field="type"):
    """Send ``auth`` with a fresh token within ``in_s`` seconds, or the stream is closed."""

    in_s: Whole


class Missed(Struct, tag="missed", tag_field="type"):
    """Entries after the client's cursor are gone (swept); what is left follows."""


class Bye(Struct, tag="bye", tag_field="type"):
    """The last frame before the server closes; ``code`` is a word of the registry."""

    code: str
    reconnect_after_ms: Whole


class Problem(Struct, tag="problem", tag_field="type", omit_defaults=True):
    """A frame that was understood but refused, and that is not a ``send``."""

    frame: str
    code: str
    detail: str
    retry_after_s: float | None = None


ServerFrame = (
    Ready
    | Drained
    | Accepted
    | Rejected
    | Entries
    | Typing
    | Presence
    | Pong
    | TokenExpiring
    | Missed
    | Bye
    | Problem
)
