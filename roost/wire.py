"""The frames of the WebSocket and the entries of a mailbox, in JSON and MessagePack.

Pure: bytes in, structs out, and back. Binary values are bytes in MessagePack and unpadded
standard base64 in JSON. Unknown fields are ignored; an unknown ``type`` is an error.
Long, because every frame stands here.
"""

import base64
import binascii
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Raw, Struct

JSON = "roost.v1.json"
MSGPACK = "roost.v1.msgpack"

WINDOW = 256
"""Entries that may be in flight to one stream, not yet acknowledged."""

MAX_PAYLOAD = 64 * 1024
"""Bytes of one device's ciphertext."""

MAX_FRAME = 2 * 1024 * 1024
"""Bytes of one client frame or request body."""


class Hello(Struct, tag="hello", tag_field="type"):
    """The first client frame. ``cursor`` omitted: from the device's stored cursor."""

    token: str | None = None
    cursor: int | None = None
    background: bool = False


class Send(Struct, tag="send", tag_field="type"):
    """A message to one user: one ciphertext for each of the recipient's devices."""

    id: str
    to: str
    sent_at_ms: int
    suite: str
    payloads: dict[str, bytes]
    urgent: bool = True
    expires_in_s: int | None = None


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


class Ready(Struct, tag="ready", tag_field="type"):
    """The stream is attached; the backlog after ``cursor`` follows."""

    device_id: str
    cursor: int
    server_time_ms: int


class Drained(Struct, tag="drained", tag_field="type"):
    """The backlog has been sent; ``cursor`` is its end."""

    cursor: int


class Accepted(Struct, tag="accepted", tag_field="type"):
    """The message is durable."""

    id: str
    seq: int
    accepted_at_ms: int


class Rejected(Struct, tag="rejected", tag_field="type", omit_defaults=True):
    """The message was not accepted; ``code`` is a word of the registry."""

    id: str
    code: str
    detail: str
    retry_after_s: float | None = None
    missing: list[str] | None = None
    extra: list[str] | None = None


class Entries(Struct, tag="entries", tag_field="type"):
    """Mailbox entries in ``seq`` order. Each element is one encoded entry."""

    entries: list[Raw]


class Presence(Struct, tag="presence", tag_field="type", omit_defaults=True):
    """A subscribed user's presence, as far as privacy allows."""

    user: str
    state: Literal["online", "offline"]
    last_seen_ms: int | None = None


class Pong(Struct, tag="pong", tag_field="type"):
    """The answer to a ``ping``."""

    server_time_ms: int


class TokenExpiring(Struct, tag="token_expiring", tag_field="type"):
    """Send ``auth`` with a fresh token within ``in_s`` seconds, or the stream is closed."""

    in_s: int


class Missed(Struct, tag="missed", tag_field="type"):
    """Entries after the client's cursor are gone (swept); what is left follows."""


class Bye(Struct, tag="bye", tag_field="type"):
    """The last frame before the server closes; ``code`` is a word of the registry."""

    code: str
    reconnect_after_ms: int


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


class MessageEntry(Struct, tag="message", tag_field="type"):
    """A message to this user; ``payload`` is this device's ciphertext."""

    seq: int
    prev: int
    at_ms: int
    id: str
    from_: str = msgspec.field(name="from")
    from_device: str
    sent_at_ms: int
    accepted_at_ms: int
    suite: str
    payload: bytes


class ReceiptEntry(Struct, tag="receipt", tag_field="type"):
    """How far ``peer`` has received and read this user's messages (watermarks in the peer's ``seq``)."""

    seq: int
    prev: int
    at_ms: int
    peer: str
    delivered_seq: int
    read_seq: int


class KeysEntry(Struct, tag="keys", tag_field="type"):
    """The devices or keys of ``user`` have changed: query them anew."""

    seq: int
    prev: int
    at_ms: int
    user: str
    device: str
    change: Literal["added", "removed", "changed"]


class SentEntry(Struct, tag="sent", tag_field="type"):
    """Another of this user's own devices has sent a message; ``to_seq`` is its number in that mailbox."""

    seq: int
    prev: int
    at_ms: int
    id: str
    to: str
    from_device: str
    to_seq: int
    sent_at_ms: int


Entry = MessageEntry | ReceiptEntry | KeysEntry | SentEntry


def unpadded(value: bytes) -> str:
    """Encode as unpadded standard base64."""
    return base64.b64encode(value).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """Decode standard base64, with or without padding.

    Raises:
        ValueError: The text is not base64.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as exc:
        raise ValueError("binary values are standard base64") from exc


class Codec(Protocol):
    """How frames are written on one socket.

    Attributes:
        text: Whether frames travel as text messages (JSON) or binary ones.
    """

    text: bool

    def decode_client(self, data: bytes) -> ClientFrame:
        """Decode a client frame.

        Raises:
            ValueError: Malformed data, an unknown type, or a field of the wrong form
                (``msgspec.DecodeError`` is a ``ValueError``).
        """
        ...

    def decode_server(self, data: bytes) -> ServerFrame:
        """Decode a server frame; raises ``ValueError`` likewise."""
        ...

    def decode_entry(self, data: Raw) -> Entry:
        """Decode one element of ``Entries.entries`` of a frame that this codec decoded."""
        ...

    def encode(self, frame: ClientFrame | ServerFrame) -> bytes:
        """Encode a frame whose entries, if any, are MessagePack; they are translated where needed."""
        ...


class _SendText(Struct, tag="send", tag_field="type"):
    id: str
    to: str
    sent_at_ms: int
    suite: str
    payloads: dict[str, str]
    urgent: bool = True
    expires_in_s: int | None = None


class _MessageText(Struct, tag="message", tag_field="type"):
    seq: int
    prev: int
    at_ms: int
    id: str
    from_: str = msgspec.field(name="from")
    from_device: str
    sent_at_ms: int
    accepted_at_ms: int
    suite: str
    payload: str


_encode_msgpack = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode
_plain_msgpack = msgspec.msgpack.Decoder().decode
_entry_msgpack = msgspec.msgpack.Decoder(Entry).decode
_client_msgpack = msgspec.msgpack.Decoder(ClientFrame).decode
_server_msgpack = msgspec.msgpack.Decoder(ServerFrame).decode
_client_json = msgspec.json.Decoder(Hello | _SendText | Ack | Read | Typing | Subscribe | Ping | Auth).decode
_server_json = msgspec.json.Decoder(ServerFrame).decode
_entry_json = msgspec.json.Decoder(_MessageText | ReceiptEntry | KeysEntry | SentEntry).decode


def entry_to_json(entry: Raw | bytes) -> dict[str, Any]:
    """Turn one MessagePack entry into the object that JSON clients get."""
    fields: dict[str, Any] = _plain_msgpack(entry)
    payload = fields.get("payload")
    if isinstance(payload, bytes):
        fields["payload"] = unpadded(payload)
    return fields


class MsgpackCodec:
    """Frames in MessagePack; entries pass through untouched."""

    text = False

    def decode_client(self, data: bytes) -> ClientFrame:
        """Decode a client frame."""
        frame: ClientFrame = _client_msgpack(data)
        return frame

    def decode_server(self, data: bytes) -> ServerFrame:
        """Decode a server frame; entries stay encoded."""
        frame: ServerFrame = _server_msgpack(data)
        return frame

    def decode_entry(self, data: Raw) -> Entry:
        """Decode one entry."""
        entry: Entry = _entry_msgpack(data)
        return entry

    def encode(self, frame: ClientFrame | ServerFrame) -> bytes:
        """Encode a frame."""
        return _encode_msgpack(frame)


class JsonCodec:
    """Frames in JSON, binary values as unpadded base64."""

    text = True

    def decode_client(self, data: bytes) -> ClientFrame:
        """Decode a client frame."""
        frame: ClientFrame | _SendText = _client_json(data)
        if isinstance(frame, _SendText):
            payloads = {device: from_base64(text) for device, text in frame.payloads.items()}
            return Send(
                frame.id,
                frame.to,
                frame.sent_at_ms,
                frame.suite,
                payloads,
                frame.urgent,
                frame.expires_in_s,
            )
        return frame

    def decode_server(self, data: bytes) -> ServerFrame:
        """Decode a server frame; entries stay encoded."""
        frame: ServerFrame = _server_json(data)
        return frame

    def decode_entry(self, data: Raw) -> Entry:
        """Decode one entry."""
        entry: Entry | _MessageText = _entry_json(data)
        if isinstance(entry, _MessageText):
            return MessageEntry(
                seq=entry.seq,
                prev=entry.prev,
                at_ms=entry.at_ms,
                id=entry.id,
                from_=entry.from_,
                from_device=entry.from_device,
                sent_at_ms=entry.sent_at_ms,
                accepted_at_ms=entry.accepted_at_ms,
                suite=entry.suite,
                payload=from_base64(entry.payload),
            )
        return entry

    def encode(self, frame: ClientFrame | ServerFrame) -> bytes:
        """Encode a frame."""
        if isinstance(frame, Entries):
            entries = [entry_to_json(entry) for entry in frame.entries]
            return _encode_json({"type": "entries", "entries": entries})
        if isinstance(frame, Send):
            fields = msgspec.structs.asdict(frame)
            fields["payloads"] = {device: unpadded(value) for device, value in frame.payloads.items()}
            return _encode_json({"type": "send", **fields})
        return _encode_json(frame)


CODECS: dict[str, Codec] = {JSON: JsonCodec(), MSGPACK: MsgpackCodec()}

__all__ = [
    "CODECS",
    "JSON",
    "MAX_FRAME",
    "MAX_PAYLOAD",
    "MSGPACK",
    "WINDOW",
    "Accepted",
    "Ack",
    "Auth",
    "Bye",
    "ClientFrame",
    "Codec",
    "Drained",
    "Entries",
    "Entry",
    "Hello",
    "JsonCodec",
    "KeysEntry",
    "MessageEntry",
    "Missed",
    "MsgpackCodec",
    "Ping",
    "Pong",
    "Presence",
    "Problem",
    "Read",
    "Ready",
    "ReceiptEntry",
    "Rejected",
    "Send",
    "SentEntry",
    "ServerFrame",
    "Subscribe",
    "TokenExpiring",
    "Typing",
    "entry_to_json",
    "from_base64",
    "unpadded",
]
