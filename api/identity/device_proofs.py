"""Proofs that a device itself asks: signatures with the Ed25519 key that the server knows of it."""

from nacl.signing import SigningKey

from api.identity.key_validation import signing_key_of
from roost.signing import verify_bytes
from roost.wire import from_base64
from storage.account_rows import Device

_OF_NO_ONE = bytes(SigningKey.generate().verify_key)


def key_of(device: Device | None) -> bytes | None:
    """Return the device's key: of its bundle, or before it has one, the key that it named at log-in."""
    if device is None:
        return None
    return device.signing_key if device.keys is None else signing_key_of(device.keys, device.device)


def check_proof(key: bytes | None, message: bytes, signature: str) -> None:
    """Check a signature in base64; it takes as long if there is no key.

    Raises:
        ValueError: It does not hold, is malformed, or there is no key.
    """
    verify_bytes(message, from_base64(signature), key or _OF_NO_ONE)
    if key is None:
        raise ValueError("the device has no key")
