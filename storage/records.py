"""Records of the log, as structs.

A record is one log value, in MessagePack, arrays instead of maps. Its sequence number is not in
it: that is the log's offset plus the shard's base. The ciphertext inside is never looked at.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct, field, structs

VERSION = 1
"""Version of the records that this release reads and, once every role does, writes.

The rule by which two releases run side by side: a field is only ever added at the end and with a default, so
that either release reads what the other writes; a new kind of record, or a new meaning, is written only when
the map says that every role reads it (`ShardMap.records`). A record says which version wrote it.
"""

MessageKey = tuple[str, str, str]
"""What tells messages apart: sender's user id and device id, and the message id."""

BESIDES_PAYLOADS: Final = 256
"""Bytes that a stored message takes beside its payloads, about."""


class MessageRecord(Struct, array_like=True, tag="m", frozen=True):
    """A message on its way to ``to``.

    Attributes:
        to: Recipient's user id.
        cause: The message id (UUIDv7); it follows the message through logs and traces.
        sender: Sender's user id.
        sender_name: Sender's username.
        sender_device: Sender's device id.
        sent_at_ms: The sender's time.
        accepted_at_ms: The gateway's time.
        suite: Name of the encryption suite.
        payloads: Ciphertext by the recipient's device id.
        urgent: Whether it may wake a sleeping phone.
        expires_at_ms: When it need no longer be delivered, or None.
        version: Layout.
        silent: A control message: it wakes no one, and does not count as unread.
        own: `copies_digest` of what the sender's other devices get, b"" if there is nothing.
    """

    to: str
    cause: str
    sender: str
    sender_name: str
    sender_device: str
    sent_at_ms: int
    accepted_at_ms: int
    suite: str
    payloads: dict[str, bytes]
    urgent: bool = True
    expires_at_ms: int | None = None
    version: int = VERSION
    silent: bool = False
    own: bytes = b""

    @property
    def to_self(self) -> bool:
        """Whether it is to other devices of its sender."""
        return self.to == self.sender

    @property
    def source(self) -> str:
        """The sender's device, told from every other user's."""
        return self.sender + self.sender_device

    @property
    def weight(self) -> int:
        """Bytes that it counts against a quota: its payloads, and what is stored beside them."""
        return BESIDES_PAYLOADS + sum(map(len, self.payloads.values()))


class ReceiptRecord(Struct, array_like=True, tag="r", frozen=True):
    """How far ``peer`` has received and read the messages of ``to``; watermarks in the peer's seq."""

    to: str
    cause: str
    peer: str
    peer_name: str
    delivered_seq: int
    read_seq: int
    at_ms: int
    version: int = VERSION


class KeysRecord(Struct, array_like=True, tag="k", frozen=True):
    """The devices or keys of ``user`` changed; for everyone who has a conversation with that user."""

    to: str
    cause: str
    user: str
    user_name: str
    device: str
    change: Literal["added", "removed", "changed"]
    at_ms: int
    version: int = VERSION


class SentRecord(Struct, array_like=True, tag="s", frozen=True):
    """A device of ``to`` sent a message; for the other devices of the same user.

    Attributes:
        to: Sender's user id.
        cause: The message id.
        device: Which device sent it.
        peer: Recipient's user id.
        peer_name: Recipient's username.
        peer_seq: Its number in the recipient's mailbox.
        sent_at_ms: The sender's time.
        at_ms: When it was accepted.
        version: Layout.
        expires_at_ms: When it disappears, or None.
        suite: Name of the encryption suite.
        payloads: Ciphertext by device of ``to``; empty if the sender gave no copies.
        silent: A control message.
    """

    to: str
    cause: str
    device: str
    peer: str
    peer_name: str
    peer_seq: int
    sent_at_ms: int
    at_ms: int
    version: int = VERSION
    expires_at_ms: int | None = None
    suite: str = ""
    payloads: dict[str, bytes] = field(default_factory=dict)
    silent: bool = False

    @property
    def weight(self) -> int:
        """Bytes that it counts against a quota: without copies it is as light as a receipt, and counts 0."""
        return BESIDES_PAYLOADS + sum(map(len, self.payloads.values())) if self.payloads else 0


Record = MessageRecord | ReceiptRecord | KeysRecord | SentRecord

encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(Record).decode
"""Raises ``msgspec.DecodeError`` on anything that is not a record."""


def users_of(record: Record) -> tuple[str, ...]:
    """Return whom a record concerns: whose mailbox it is for, and who wrote a message."""
    return (record.to, record.sender) if isinstance(record, MessageRecord) else (record.to,)


def weight_of(record: Record) -> int:
    """Return the bytes that a record counts against a quota; 0: it does not count."""
    return record.weight if isinstance(record, MessageRecord | SentRecord) else 0


class PushRecord(Struct, array_like=True, frozen=True):
    """Wake this device: nothing about who wrote or how much waits is in it.

    Attributes:
        user: Owner's user id.
        device: Device id.
        cause: The message's id, '' if it was no message.
        at_ms: When the host asked for it.
        urgent: Whether it may wake a sleeping phone.
        version: Layout.
        seq: The message that the device is woken for, 0 if it was no message.
        not_before_ms: It is held until then, and not sent if the device has acknowledged the message by then.
        fresh: The device is known to have come since the last one, whatever is marked as pending.
    """

    user: str
    device: str
    cause: str
    at_ms: int
    urgent: bool = True
    version: int = VERSION
    seq: int = 0
    not_before_ms: int = 0
    fresh: bool = False


encode_push = msgspec.msgpack.Encoder().encode
decode_push = msgspec.msgpack.Decoder(PushRecord).decode


def expires_at_ms_of(record: Record) -> int:
    """Return when what is in the record may no longer be shown, in Unix milliseconds; 0: never."""
    return (record.expires_at_ms or 0) if isinstance(record, MessageRecord | SentRecord) else 0


def has_expired(record: Record, now_ms: int) -> bool:
    """Return whether the record is a message whose time is over."""
    ends = record.expires_at_ms if isinstance(record, MessageRecord | SentRecord) else None
    return ends is not None and ends <= now_ms


def without_content(value: bytes) -> bytes:
    """Return the record of a stored entry without its payloads, and of a copy without whom it was for."""
    record = decode_record(value)
    if isinstance(record, MessageRecord):
        return encode_record(structs.replace(record, payloads=dict.fromkeys(record.payloads, b"")))
    if isinstance(record, SentRecord):
        copies = dict.fromkeys(record.payloads, b"")
        return encode_record(structs.replace(record, peer="", peer_name="", payloads=copies))
    return value
