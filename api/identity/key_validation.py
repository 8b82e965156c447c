"""Validation of uploaded keys: their form, their size and their signatures."""

from collections.abc import Mapping
from typing import Any

from roost.errors import RoostError
from roost.signing import DeviceBundle, SignedKey, is_weak, known_members, verify_signed
from roost.wire import from_base64

_KEY_BYTES = 32
_ALGORITHM = "signed_curve25519"
_KEY_ID_MAX = 100
KEYS_MAX = 250
"""Keys of one kind in one upload."""


def validate_device_keys(keys: Mapping[str, Any], address: str, device: str) -> dict[str, Any]:
    """Check the device keys of this user and device, and return what is stored of them.

    Raises:
        RoostError: ``invalid``, or ``invalid_signature``.
    """
    known = _known(keys, DeviceBundle, "device_keys")
    if known["user_id"] != address or known["device_id"] != device:
        raise RoostError("invalid", f"device_keys: user_id must be {address!r} and device_id {device!r}.")
    _check_strength(_public_key(known, f"curve25519:{device}"))
    return _signed(known, address, device, signing_key_of(known, device))


def signing_key_of(keys: Mapping[str, Any], device: str) -> bytes:
    """Return the device's Ed25519 public key."""
    return _public_key(keys, f"ed25519:{device}")


def validate_one_time_keys(
    keys: Mapping[str, Any], address: str, device: str, signing_key: bytes
) -> dict[str, dict[str, Any]]:
    """Check one-time or fallback keys of this device, and return what is stored of them."""
    if len(keys) > KEYS_MAX:
        raise RoostError("too_large", f"A request may contain at most {KEYS_MAX} keys.")
    checked: dict[str, dict[str, Any]] = {}
    for key_id, key in keys.items():
        algorithm, _, name = key_id.partition(":")
        if algorithm != _ALGORITHM or not name or len(key_id) > _KEY_ID_MAX:
            raise RoostError("invalid", f"A one-time key id must have the form '{_ALGORITHM}:ID'.")
        known = _known(key, SignedKey, key_id)
        _check_strength(_decode(known["key"], key_id))
        checked[key_id] = _signed(known, address, device, signing_key)
    return checked


def validate_fallback_keys(
    keys: Mapping[str, Any], address: str, device: str, signing_key: bytes
) -> dict[str, dict[str, Any]]:
    """Check a fallback key of this device: there is one of each algorithm, so one of two would be lost."""
    if len(keys) > 1:
        raise RoostError("invalid", "A device has one fallback key of an algorithm; upload the newest only.")
    return validate_one_time_keys(keys, address, device, signing_key)


def _check_strength(key: bytes) -> None:
    if is_weak(key):
        raise RoostError("invalid", "A Curve25519 key of small order protects nothing; make another one.")


def _public_key(keys: Mapping[str, Any], key_id: str) -> bytes:
    found = keys.get("keys")
    if not isinstance(found, Mapping):
        raise RoostError("invalid", "device_keys.keys must be an object.")
    return _decode(found.get(key_id), key_id)


def _decode(text: Any, key_id: str) -> bytes:
    try:
        key = from_base64(text) if isinstance(text, str) else b""
    except ValueError as exc:
        raise RoostError("invalid", f"{key_id[:100]}: {exc}.") from exc
    if len(key) != _KEY_BYTES:
        raise RoostError("invalid", f"{key_id[:100]}: a public key must be {_KEY_BYTES} bytes in base64.")
    return key


def _known(value: Any, kind: type[DeviceBundle | SignedKey], name: str) -> dict[str, Any]:
    try:
        return known_members(value, kind)
    except ValueError as exc:
        raise RoostError("invalid", f"{name[:100]}: {exc}.") from exc


def _signed(known: dict[str, Any], address: str, device: str, signing_key: bytes) -> dict[str, Any]:
    """Check the device's signature, and leave out every other one: no one has checked those."""
    key_id = f"ed25519:{device}"
    try:
        verify_signed(known, address, key_id, signing_key)
    except ValueError as exc:
        raise RoostError(
            "invalid_signature",
            f"{exc}. Sign the canonical JSON, without members that the API does not name, with the device's "
            "Ed25519 key.",
        ) from exc
    return known | {"signatures": {address: {key_id: known["signatures"][address][key_id]}}}
