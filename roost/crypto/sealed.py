"""The suite ``sealed.v1``: a message sealed to one device and signed by another.

    payload  = sealed box to the recipient device's X25519 key of  pad(signed)
    signed   = signature (64) | body
    body     = length of the heading (2, big-endian) | heading, canonical JSON | content
    signature = Ed25519 of the sender's device over  "roost.sealed.v1" | 0x00 | body

The heading repeats who, to whom (also the very key), which message and when, and the receiver
compares all of it with the entry that the server delivered and with its own key. So what a
server or a recipient could do with a payload they hold (hand it on to a third person, deliver
it under another name or number, mirror it to its sender, cut it) is refused, not shown.

Not given: forward secrecy (the recipient's key is long-lived), and deniability (it is signed).
"""

from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import Struct, field
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.public import PublicKey, SealedBox
from nacl.signing import VerifyKey

from roost.crypto.keys import DeviceSecrets
from roost.crypto.padding import pad, unpad
from roost.signing import DeviceKeys, canonical_json
from roost.wire import unpadded

SUITE = "sealed.v1"
"""The suite's name in a message."""

_DOMAIN = b"roost.sealed.v1\0"
_SIGNATURE_BYTES = 64
_LENGTH_BYTES = 2
_HEADING_MAX = 1024
"""Bytes of a heading; the longest there can be, with names of full length, has less than 800."""


Reason = Literal[
    "unknown_suite", "unknown_device", "not_for_this_key", "malformed", "bad_signature", "wrong_heading"
]
"""Why a payload was refused. ``wrong_heading``: it is real, but not the message it was delivered as."""


class Undecryptable(Exception):  # noqa: N818 - the word of the protocol
    """A payload was refused.

    Attributes:
        reason: Which check refused it.
        detail: One sentence for people.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Heading:
    """The metadata of a message under the sender's signature.

    Attributes:
        sender: Address of the sender.
        sender_device: Device of the sender.
        recipient: Address of the recipient.
        message_id: UUIDv7 of the message.
        sent_at_ms: Unix milliseconds, by the sender.
    """

    sender: str
    sender_device: str
    recipient: str
    message_id: str
    sent_at_ms: int

    def encoded(self, recipient_key: bytes) -> bytes:
        """Return the heading's bytes for one recipient device."""
        return canonical_json(msgspec.to_builtins(self._signed(recipient_key)))

    def _signed(self, recipient_key: bytes) -> "_SignedHeading":
        return _SignedHeading(
            self.sender,
            self.sender_device,
            self.recipient,
            unpadded(recipient_key),
            self.message_id,
            self.sent_at_ms,
        )

    def difference(self, found: "_SignedHeading", recipient_key: bytes) -> list[str]:
        """Return the names of the members in which a found heading differs from this one."""
        expected, there = (msgspec.to_builtins(each) for each in (self._signed(recipient_key), found))
        return [name for name in expected if there[name] != expected[name]]


class _SignedHeading(Struct, frozen=True):
    """A heading as it is signed; other members are ignored."""

    from_: str = field(name="from")
    from_device: str
    to: str
    to_key: str
    id: str
    sent_at_ms: int


_decode_heading = msgspec.json.Decoder(_SignedHeading).decode


def seal(content: bytes, heading: Heading, secrets: DeviceSecrets, recipient_key: bytes) -> bytes:
    """Seal a message to one device.

    Args:
        content: The plaintext.
        heading: Who, to whom, which, when.
        secrets: The sender device's keys.
        recipient_key: The recipient device's X25519 key, 32 bytes.

    Raises:
        ValueError: The recipient's key is not 32 bytes, or of small order.
    """
    head = heading.encoded(recipient_key)
    body = len(head).to_bytes(_LENGTH_BYTES, "big") + head + content
    signature = secrets.signing_key.sign(_DOMAIN + body).signature
    try:
        return bytes(SealedBox(PublicKey(recipient_key)).encrypt(pad(signature + body)))
    except CryptoError as exc:
        raise ValueError("the recipient's key is not a usable X25519 key") from exc


def open_sealed(payload: bytes, expected: Heading, secrets: DeviceSecrets, sender: DeviceKeys) -> bytes:
    """Open a payload and return the content.

    Args:
        payload: What the server delivered.
        expected: What the entry says of the message, and this device's own address.
        secrets: This device's keys.
        sender: The sender device's pinned keys.

    Raises:
        Undecryptable: Any check failed; nothing of the content is given out.
    """
    signature, body = _unwrap(payload, secrets)
    if (sender.address, sender.device_id) != (expected.sender, expected.sender_device):
        raise Undecryptable("unknown_device", "The keys at hand are not those of the sender's device.")
    try:
        VerifyKey(sender.ed25519).verify(_DOMAIN + body, signature)
    except (BadSignatureError, ValueError) as exc:
        raise Undecryptable("bad_signature", "The message is not signed by the sender's device.") from exc
    heading, content = _split(body)
    different = expected.difference(heading, secrets.curve25519_public)
    if different:
        names = ", ".join(different)
        raise Undecryptable("wrong_heading", f"The message was delivered as another one ({names} differ).")
    return content


def _unwrap(payload: bytes, secrets: DeviceSecrets) -> tuple[bytes, bytes]:
    try:
        padded = SealedBox(secrets.private_key).decrypt(payload)
    except (CryptoError, ValueError, TypeError) as exc:
        raise Undecryptable("not_for_this_key", "The message is not sealed to this device's key.") from exc
    try:
        plain = unpad(padded)
    except ValueError as exc:
        raise Undecryptable("malformed", "The message's padding is malformed.") from exc
    if len(plain) < _SIGNATURE_BYTES + _LENGTH_BYTES:
        raise Undecryptable("malformed", "The message is too short to be signed.")
    return plain[:_SIGNATURE_BYTES], plain[_SIGNATURE_BYTES:]


def _split(body: bytes) -> tuple[_SignedHeading, bytes]:
    end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    if end > min(len(body), _LENGTH_BYTES + _HEADING_MAX):
        raise Undecryptable("malformed", "The message has no heading.")
    try:
        heading = _decode_heading(body[_LENGTH_BYTES:end])
    except (ValueError, RecursionError) as exc:
        raise Undecryptable("malformed", "The message has no heading.") from exc
    return heading, body[end:]
