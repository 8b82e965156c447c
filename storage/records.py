"""Records of the log, and rows and documents of the stores, as structs.

A record is one log value, in MessagePack, arrays instead of maps. Its sequence number is not in
it: that is the log's offset plus the shard's base. The ciphertext inside is never looked at.
`schema.md` beside it has the fields of the stores.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Literal

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


class MailboxDocument(Struct, frozen=True):
    """One stored entry: a message, key change or ``sent`` record (receipts live in conversations).

    Attributes:
        user: Whose mailbox.
        seq: The number in that mailbox.
        prev: seq of the stored entry before it in the same mailbox, 0 for the first.
        kind: The record's tag.
        sender: Sender's user id for messages, else ''.
        sender_device: Sender's device id for messages, else ''.
        cause: The message id, or what caused the record.
        at_ms: When it was accepted.
        record: The log value, byte for byte.
        newest: Greatest message id in this mailbox up to here, where that is not this entry's own; else ''.
        messages: Messages, and copies of one's own, that the mailbox was given up to here, with this one;
            those that were swept count.
        size: Their weight, in bytes (`weight_of`).
        expires_at_ms: When the entry's payloads are to go, 0: with the entry.
        silent: It is a control message, which does not count as unread.
    """

    user: str
    seq: int
    prev: int
    kind: str
    sender: str
    sender_device: str
    cause: str
    at_ms: int
    record: bytes
    newest: str = ""
    messages: int = 0
    size: int = 0
    expires_at_ms: int = 0
    silent: bool = False

    @property
    def greatest(self) -> str:
        """The greatest message id in this mailbox up to here; '' if there is none.

        A message with a greater id cannot be a repeat, whoever sent it.
        """
        return self.newest or (self.cause if self.kind == "m" else "")


def is_copy_to(document: MailboxDocument, peer: str) -> bool:
    """Return whether a stored entry says that its owner wrote to the peer, and has copies of it."""
    if document.kind != "s":
        return False
    record = decode_record(document.record)
    return isinstance(record, SentRecord) and record.peer == peer and bool(record.payloads)


class Expiring(Struct, array_like=True, frozen=True):
    """A stored entry whose content is to go, and when."""

    user: str
    seq: int
    expires_at_ms: int


class Conversation(Struct):
    """What ``user`` knows of the conversation with ``peer``.

    Attributes:
        user: The owner of this row.
        peer: The other user's id.
        peer_name: The other user's username.
        delivered_seq: The peer has received everything of ``user`` up to here (the peer's seq).
        read_seq: The peer has read up to here (the peer's seq).
        delivered_at_ms: When ``delivered_seq`` last rose, 0 if never.
        read_at_ms: When ``read_seq`` last rose, 0 if never.
        receipt_seq: Number, in the mailbox of ``user``, of the last receipt record; 0 if none.
        my_read_seq: ``user`` has read everything from ``peer`` up to here (own seq).
        repeat_seq: Number of the peer's last repeat, which was dropped (own seq); 0 if none. The peer may
            know its message by no other number.
        repeated_upto: The peer's last entry before that (own seq).
        contact: 1 if the peer is a contact: ``user`` wrote to it, or accepted it.
        heard: 1 if the peer wrote to ``user``.
        strange: Messages that came from the peer while it was a stranger, as far as they were counted.
        strange_size: Their weight, in bytes.
        strange_at_ms: When the last of them was accepted, 0: never.
        cleared: How many of ``strange`` no longer count against what strangers may send.
        cleared_size: Their weight, in bytes.
    """

    user: str
    peer: str
    peer_name: str
    delivered_seq: int = 0
    read_seq: int = 0
    delivered_at_ms: int = 0
    read_at_ms: int = 0
    receipt_seq: int = 0
    my_read_seq: int = 0
    repeat_seq: int = 0
    repeated_upto: int = 0
    contact: int = 0
    heard: int = 0
    strange: int = 0
    strange_size: int = 0
    strange_at_ms: int = 0
    cleared: int = 0
    cleared_size: int = 0

    @property
    def with_contact(self) -> bool:
        """Whether the user wrote to the peer, which a receipt of it shows, too, or accepted it."""
        return bool(self.contact or self.delivered_seq)


def merged(row: Conversation, other: Conversation) -> Conversation:
    """Return of each number of two rows of a pair the greater: none ever sinks."""
    numbers = map(max, structs.astuple(row)[3:], structs.astuple(other)[3:])
    return Conversation(row.user, row.peer, row.peer_name, *numbers)


class Block(Struct, frozen=True):
    """``user`` does not want records of ``peer`` with ``since_seq <= seq < until_seq`` (None: still).

    Attributes:
        revision: Rises by one with every change of the pair's block. The write of a host that had lost the
            user may come late: it replaces none with a greater one.
    """

    user: str
    peer: str
    peer_name: str
    since_seq: int
    until_seq: int | None = None
    revision: int = 1


class Stub(Struct, frozen=True):
    """What is kept of a message that went nowhere: enough to answer its sender as before.

    Attributes:
        user: Recipient's user id.
        sender: Sender's user id.
        sender_device: Sender's device id.
        cause: The message id.
        seq: The number that the sender was answered.
        accepted_at_ms: The gateway's time.
        digest: `digest_of` the message.
    """

    user: str
    sender: str
    sender_device: str
    cause: str
    seq: int
    accepted_at_ms: int
    digest: bytes


def digest_of(
    to: str, suite: str, payloads: Mapping[str, bytes], own: bytes = b"", *, silent: bool = False
) -> bytes:
    """Return what tells one content from another, 8 bytes.

    Args:
        to: The recipient's name.
        suite: Name of the suite.
        payloads: Ciphertext by device.
        own: `copies_digest` of the sender's own copies.
        silent: Whether it is a control message.
    """
    digest = blake2b(f"{to}|{suite}".encode(), digest_size=8)
    _add_payloads(digest, payloads)
    if own or silent:
        digest.update(b"|own|" + own + (b"|silent" if silent else b""))
    return digest.digest()


def copies_digest(own: Mapping[str, bytes] | None) -> bytes:
    """Return what tells one set of own copies from another, 8 bytes; b"" if there are none."""
    if not own:
        return b""
    digest = blake2b(digest_size=8)
    _add_payloads(digest, own)
    return digest.digest()


def _add_payloads(digest: blake2b, payloads: Mapping[str, bytes]) -> None:
    for device in sorted(payloads):
        payload = payloads[device]
        digest.update(f"|{device}|{len(payload)}|".encode())
        digest.update(payload)


class Cursor(Struct, frozen=True):
    """Everything up to ``seq`` is safely on this device."""

    user: str
    device: str
    seq: int


SCOPES: Final = ("admin", "observer")
"""What an account may be granted: to act on the cluster, or to look at it."""


class StoredIdentity(Struct, frozen=True):
    """A person's identity, in the shapes of Matrix cross-signing, its signatures checked.

    Attributes:
        master_key: Signed by the device that uploaded it.
        self_signing_key: Signed by the master key.
    """

    master_key: dict[str, Any]
    self_signing_key: dict[str, Any]


class CrossSignature(Struct, array_like=True, frozen=True):
    """The signature of an identity under a device's keys.

    Attributes:
        by: Id of the self-signing key; it counts as long as that is the identity's.
        signature: In base64.
    """

    by: str
    signature: str


class User(Struct, frozen=True):
    """An account. ``phone`` and ``email`` are in the clear here and sealed in the store."""

    user_id: str
    username: str
    password_hash: str
    display_name: str
    created_at_ms: int
    phone: str | None = None
    email: str | None = None
    last_seen: Literal["everyone", "contacts", "nobody"] = "everyone"
    read_receipts: bool = True
    last_seen_ms: int = 0
    scopes: tuple[str, ...] = ()
    delivery_receipts: Literal["everyone", "contacts"] = "everyone"
    requests: bool = False
    identity: StoredIdentity | None = None

    @property
    def tells_strangers(self) -> bool:
        """Whether those who are no contacts learn what was delivered and read."""
        return self.delivery_receipts == "everyone" and not self.requests


NO_FLOOR: Final = -1
"""The floor of a device that was just added."""


class Device(Struct, frozen=True):
    """A device. ``name``, ``push_token`` and ``push_keys`` are in the clear here and sealed in the store.

    Attributes:
        user: Owner's user id.
        device: Device id.
        keys: The signed ``device_keys`` object as uploaded, or None before the upload. Only a
            device with keys can be sent to.
        from_seq: The owner's mailbox position when the device was added: its first cursor.
        floor: No message up to here counts as encrypted for it, beside what ``from_seq`` says; `NO_FLOOR`:
            the messages since then have not been looked at.
        signing_key: Ed25519 public key that it named when it logged in: its refreshes are signed with it, and
            its ``keys`` must have it. None: it named none.
        signed_out: Its last session was ended by someone, and not by time: it needs the password.
        push_token: The provider's name for the app on the device: of FCM a token, of Web Push the endpoint.
        push_keys: What else Web Push needs; see `storage.subscriptions`.
        push_session: The session that the push token goes with.
        push_since_ms: When the push token was registered; no two registrations of a device have the same.
        cross_signature: Of its owner's identity.
    """

    user: str
    device: str
    name: str
    created_at_ms: int
    keys: dict[str, object] | None = None
    push_provider: str | None = None
    push_token: str | None = None
    from_seq: int = 0
    floor: int = 0
    signing_key: bytes | None = None
    signed_out: bool = False
    push_session: str | None = None
    push_since_ms: int = 0
    push_keys: str | None = None
    cross_signature: CrossSignature | None = None


class PushToken(Struct, frozen=True):
    """By what a provider finds a device.

    Attributes:
        provider: ``fcm`` or ``webpush``.
        token: As `Device.push_token`.
        keys: As `Device.push_keys`.
    """

    provider: str
    token: str
    keys: str | None = None


class KeySupply(Struct, frozen=True):
    """What others can still be given of a device's keys.

    Attributes:
        one_time: Unclaimed one-time keys by algorithm.
        unused_fallback: Algorithms whose fallback key was given to no one yet.
    """

    one_time: dict[str, int]
    unused_fallback: tuple[str, ...]


class TokenFamily(Struct, frozen=True):
    """A family of refresh tokens: one log-in of one device. Tokens appear as hashes only.

    Attributes:
        signed: A refresh also needs a signature of the device, so that a copied token is of no use.
        repeated: ``previous`` came again, late.
        repeats: In how many rotations in a row that was so.
    """

    family: str
    user: str
    device: str
    current: bytes
    previous: bytes | None
    created_at_ms: int
    used_at_ms: int
    expires_at_ms: int
    ended_at_ms: int | None = None
    signed: bool = False
    repeated: bool = False
    repeats: int = 0


class Erasure(Struct, frozen=True):
    """An account that is to be erased, is being erased, or was.

    Attributes:
        user: Its user id.
        username: Its username; '' when it is erased.
        state: ``asked``: it may yet be kept. ``erasing``: it is being erased. ``erased``: it is gone.
        asked_at_ms: When that was asked for.
        due_at_ms: When it begins.
        looked_at_ms: When all that was found was deleted last; 0: not yet.
    """

    user: str
    username: str
    state: Literal["asked", "erasing", "erased"]
    asked_at_ms: int
    due_at_ms: int
    looked_at_ms: int = 0


class DeadLetter(Struct, frozen=True):
    """A record that could not be handled, with the reason."""

    topic: str
    shard: int
    offset: int
    reason: str
    value: bytes
    at_ms: int


class KeptLetter(Struct, frozen=True):
    """A dead letter in the store.

    Attributes:
        id: ``topic:shard:offset:digest``; of a wake-up ``push:user:device``.
        letter: It.
        retried_at_ms: When it was written back to its topic, 0: it was not.
        retried_by: By whom, as the audit log names them.
    """

    id: str
    letter: DeadLetter
    retried_at_ms: int = 0
    retried_by: str = ""


class LogState(Struct, frozen=True):
    """Where one shard's log stands.

    Attributes:
        shard: Shard number.
        base: seq = base + offset, for this incarnation of the log.
        stored: Everything below this offset is in the stores (may lag by a second).
        pushes: Rises whenever the shard's wake-ups start over, so that no offset is taken for another log's.
        before: Numbers of earlier logs, and of the shard that this one's users came from, which
            were handled: ``begin <= seq < end``, newest last. The oldest are forgotten.
    """

    shard: int
    base: int
    stored: int
    pushes: int = 0
    before: tuple[tuple[int, int], ...] = ()

    def handled(self, seq: int) -> bool:
        """Return whether the record with this number was handled: it is stored, or went nowhere for a reason.

        It must not be seen which: a record that went nowhere is one whose sender is blocked.
        """
        return any(begin <= seq < end for begin, end in self.spans())

    def spans(self) -> tuple[tuple[int, int], ...]:
        """Return the numbers that were handled, as in ``before``."""
        now = (self.base, self.base + self.stored)
        return (*self.before, now) if self.stored else self.before


class StoredRoster(Struct, frozen=True):
    """Which roles there are to be.

    Attributes:
        counts: Number of each role in the settings that this was made from; others make a new one.
        names: Names of the roles, each of the form ``role-number``.
        cordoned: Ray's names of the cordoned machines: no role is to be there.
        coming: Names of those who come in the change that is being made.
        going: Names of those who go in it.
        processes: Process of each role or spare that is not in the one made for it, by name.
    """

    counts: dict[str, int]
    names: tuple[str, ...]
    cordoned: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    going: tuple[str, ...] = ()
    processes: dict[str, str] = {}
