"""Encryption of a push for one subscription (RFC 8291), in one record of ``aes128gcm`` (RFC 8188)."""

import struct
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from storage.subscriptions import SubscriptionKeys

_RECORD: Final = 4096
"""Size of a record: the most that every push service takes."""

_LAST: Final = b"\x02"
"""Ends the content of the last record, in front of its padding."""


def encrypt(content: bytes, to: SubscriptionKeys, own: ec.EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """Return the body of a push.

    Args:
        content: What the browser's service worker is given, at most some 3,900 bytes.
        to: The subscription's keys.
        own: A key that nothing else is encrypted with.
        salt: 16 random bytes.
    """
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), to.p256dh)
    sender = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    agreed = own.exchange(ec.ECDH(), receiver)
    # Source: RFC 8291, section 3.4.
    secret = _derived(agreed, to.auth, b"WebPush: info\0" + to.p256dh + sender, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    head = salt + struct.pack("!LB", _RECORD, len(sender)) + sender
    return head + AESGCM(key).encrypt(nonce, content + _LAST, None)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
