"""The entries of a mailbox, as a device sees them."""

from typing import Literal

from msgspec import Struct, field

from roost.wire.numbers import Seq, Whole


class MessageEntry(Struct, tag="message", tag_field="type", omit_defaults=True):
    """A message to this user; ``payload`` is this device's ciphertext.

    ``expires_at_ms`` is there if its sender wants it to disappear then, in Unix milliseconds; ``silent`` if
    it is a control message: it wakes no one, and is neither counted as unread nor shown.
    """

    seq: Seq
    prev: Seq
    at_ms: Whole
    id: str
    from_: str = field(name="from")
    from_device: str
    sent_at_ms: Whole
    accepted_at_ms: Whole
    suite: str
    payload: bytes
    expires_at_ms: Whole | None = None
    silent: bool = False


class ReceiptEntry(Struct, tag="receipt", tag_field="type"):
    """How far ``peer`` has received and read this user's messages (watermarks in the peer's ``seq``)."""

    seq: Seq
    prev: Seq
    at_ms: Whole
    peer: str
    delivered_seq: Whole
    read_seq: Whole


class KeysEntry(Struct, tag="keys", tag_field="type"):
    """The devices or keys of ``user`` have changed: query them again."""

    seq: Seq
    prev: Seq
    at_ms: Whole
    user: str
    device: str
    change: Literal["added", "removed", "changed"]


class SentEntry(Struct, tag="sent", tag_field="type", omit_defaults=True):
    """Another of this user's own devices has sent a message; ``to_seq`` is its number in that mailbox.

    ``payload`` is this device's copy, if the sender gave copies.
    """

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
    payload: bytes | None = None
    expires_at_ms: Whole | None = None
    silent: bool = False


Entry = MessageEntry | ReceiptEntry | KeysEntry | SentEntry
