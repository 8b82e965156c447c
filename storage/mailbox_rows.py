"""Rows of mailboxes: stored entries, conversations, blocks, cursors, and what is left of refused messages."""

from collections.abc import Mapping
from hashlib import blake2b

from msgspec import Struct, structs

from storage.records import SentRecord, decode_record


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
        revision: Rises with every change of the pair's block, and beyond all of hosts that had the user
            before. The write of a host that had lost the user may come late: it replaces none with a greater
            one.
    """

    user: str
    peer: str
    peer_name: str
    since_seq: int
    until_seq: int | None = None
    revision: int = 1


class Stub(Struct, frozen=True):
    """What is kept of a message that went nowhere, or was swept: enough to answer its sender as before.

    Attributes:
        user: Recipient's user id.
        sender: Sender's user id.
        sender_device: Sender's device id.
        cause: The message id.
        seq: The number that the sender was answered.
        accepted_at_ms: The gateway's time.
        digest: `digest_of` the message.
        swept: It was in the mailbox: the same message is a repeat.
    """

    user: str
    sender: str
    sender_device: str
    cause: str
    seq: int
    accepted_at_ms: int
    digest: bytes
    swept: bool = False


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
