"""The two encodings of frames and entries: JSON and MessagePack.

Pure: bytes in, structs out, and back. Unknown fields are ignored; an unknown ``type`` is an error.
"""

from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict

from roost.wire.binary import from_base64, unpadded
from roost.wire.entries import Entry, KeysEntry, MessageEntry, ReceiptEntry, SentEntry
from roost.wire.frames import (
    Ack,
    Auth,
    ClientFrame,
    Entries,
    Hello,
    Ping,
    Read,
    Send,
    ServerFrame,
    Subscribe,
    Typing,
)
from roost.wire.numbers import Seq, Whole

JSON = "roost.v1.json"
MSGPACK = "roost.v1.msgpack"


class Codec(Protocol):
    """The encoding of one socket.

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
    own: dict[str, str] | None = None
    silent: bool = False


class _MessageText(Struct, tag="message", tag_field="type"):
    seq: Seq
    prev: Seq
    at_ms: Whole
    id: str
    from_: str = msgspec.field(name="from")
    from_device: str
    sent_at_ms: Whole
    accepted_at_ms: Whole
    suite: str
    payload: str
    expires_at_ms: Whole | None = None
    silent: bool = False


class _SentText(Struct, tag="sent", tag_field="type"):
    seq: Seq
    prev: Seq
    at_ms: Whole
    id: str
    to: str
    from_device: str
    to_seq: Whole
    sent_at_ms: Whole
    accepted_at_ms: Whole
    suite: str = ""
    payload: str | None = None
    expires_at_ms: Whole | None = None
    silent: bool = False


_encode_msgpack = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode
_plain_msgpack = msgspec.msgpack.Decoder().decode
_entry_msgpack = msgspec.msgpack.Decoder(Entry).decode
_client_msgpack = msgspec.msgpack.Decoder(ClientFrame).decode
_server_msgpack = msgspec.msgpack.Decoder(ServerFrame).decode
_client_json = msgspec.json.Decoder(Hello | _SendText | Ack | Read | Typing | Subscribe | Ping | Auth).decode
_server_json = msgspec.json.Decoder(ServerFrame).decode
_entry_json = msgspec.json.Decoder(_MessageText | ReceiptEntry | KeysEntry | _SentText).decode


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
            payloads = _from_text(frame.payloads)
            return Send(
                frame.id,
                frame.to,
                frame.sent_at_ms,
                frame.suite,
                payloads,
                frame.urgent,
                frame.expires_in_s,
                None if frame.own is None else _from_text(frame.own),
                frame.silent,
            )
        return frame

    def decode_server(self, data: bytes) -> ServerFrame:
        """Decode a server frame; entries stay encoded."""
        frame: ServerFrame = _server_json(data)
        return frame

    def decode_entry(self, data: Raw) -> Entry:
        """Decode one entry."""
        entry: ReceiptEntry | KeysEntry | _MessageText | _SentText = _entry_json(data)
        if isinstance(entry, _MessageText):
            return MessageEntry(**asdict(entry) | {"payload": from_base64(entry.payload)})
        if isinstance(entry, _SentText):
            payload = None if entry.payload is None else from_base64(entry.payload)
            return SentEntry(**asdict(entry) | {"payload": payload})
        return entry

    def encode(self, frame: ClientFrame | ServerFrame) -> bytes:
        """Encode a frame."""
        if isinstance(frame, Entries):
            entries = [entry_to_json(entry) for entry in frame.entries]
            return _encode_json({"type": "entries", "entries": entries})
        if isinstance(frame, Send):
            fields = asdict(frame)
            fields["payloads"] = _to_text(frame.payloads)
            fields["own"] = None if frame.own is None else _to_text(frame.own)
            return _encode_json({"type": "send", **fields})
        return _encode_json(frame)


def _from_text(payloads: dict[str, str]) -> dict[str, bytes]:
    return {device: from_base64(text) for device, text in payloads.items()}


def _to_text(payloads: dict[str, bytes]) -> dict[str, str]:
    return {device: unpadded(value) for device, value in payloads.items()}


CODECS: dict[str, Codec] = {JSON: JsonCodec(), MSGPACK: MsgpackCodec()}
