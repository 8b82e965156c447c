"""Validation of uploaded keys: their form, their size and their signatures."""

from collections.abc import Mapping
from typing import Any

from roost.errors import RoostError
from roost.signing import verify_signed
from roost.wire import from_base64

_KEY_BYTES = 32
_ALGORITHM = "signed_curve25519"
_KEY_ID_MAX = 100
_KEYS_MAX = 250
_DEVICE_KEYS_BYTES = 16 * 1024
_ONE_KEY_BYTES = 4 * 1024


def validate_device_keys(keys: Mapping[str, Any], address: str, device: str) -> None:
    """Check the device keys of this user and device.

    Raises:
        RoostError: ``invalid``, or ``invalid_signature``.
    """
    _check_size(keys, _DEVICE_KEYS_BYTES)
    if keys.get("user_id") != address or keys.get("device_id") != device:
        raise RoostError("invalid", f"device_keys: user_id must be {address!r} and device_id {device!r}.")
    algorithms = keys.get("algorithms")
    if not isinstance(algorithms, list) or not all(isinstance(each, str) for each in algorithms):
        raise RoostError("invalid", "device_keys.algorithms must be a list of names.")
    _public_key(keys, f"curve25519:{device}")
    _check_signature(keys, address, device, signing_key_of(keys, device))


def signing_key_of(keys: Mapping[str, Any], device: str) -> bytes:
    """Return the device's Ed25519 public key."""
    return _public_key(keys, f"ed25519:{device}")


def validate_one_time_keys(keys: Mapping[str, Any], address: str, device: str, signing_key: bytes) -> None:
    """Check one-time or fallback keys of this device."""
    if len(keys) > _KEYS_MAX:
        raise RoostError("too_large", f"A request may contain at most {_KEYS_MAX} keys.")
    for key_id, key in keys.items():
        algorithm, _, name = key_id.partition(":")
        if algorithm != _ALGORITHM or not name or len(key_id) > _KEY_ID_MAX:
            raise RoostError("invalid", f"A one-time key id must have the form '{_ALGORITHM}:ID'.")
        _check_size(key, _ONE_KEY_BYTES)
        _decode(key.get("key"), key_id)
        _check_signature(key, address, device, signing_key)


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
    # All-zero is a point of small order: every secret agreed with it is public.
    if len(key) != _KEY_BYTES or not any(key):
        raise RoostError("invalid", f"{key_id[:100]}: a public key must be {_KEY_BYTES} bytes in base64.")
    return key


def _check_signature(signed: Mapping[str, Any], address: str, device: str, signing_key: bytes) -> None:
    try:
        verify_signed(dict(signed), address, f"ed25519:{device}", signing_key)
    except (ValueError, RecursionError) as exc:
        raise RoostError(
            "invalid_signature", f"{exc}. Sign the canonical JSON with the device's Ed25519 key."
        ) from exc


def _check_size(value: Any, limit: int) -> None:
    # The length of the text is close enough to the stored size, and bounds the depth of nesting too.
    if len(repr(value)) > limit:
        raise RoostError("too_large", f"A signed key object may be at most {limit} bytes.")
