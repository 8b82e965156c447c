"""Verification of signed JSON objects.

Client and server both verify signatures with it: nothing in this module can sign, encrypt or
decrypt. The form is that of the Matrix specification's "signing JSON",
so that key bundles of engines of that family verify unmodified.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from roost.wire import from_base64

KEY_BYTES = 32
"""Bytes of an X25519 or Ed25519 public key."""

MAX_BUNDLE = 4 * 1024
"""Bytes of one signed object (a device's bundle, a one-time key) in JSON."""

_UNSIGNED_MEMBERS = frozenset({"signatures", "unsigned"})
_INTEGER_LIMIT = 2**53
_P = 2**255 - 19
_WEAK = frozenset(
    point.to_bytes(KEY_BYTES, "little")
    for point in (
        *(0, 1, _P - 1, _P, _P + 1),
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
    )
)


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """The public keys of one device, out of a bundle whose signature holds.

    Attributes:
        address: Owner, ``@username:server_name``.
        device_id: The device.
        curve25519: 32 bytes that others encrypt to.
        ed25519: 32 bytes that its signatures verify with.
    """

    address: str
    device_id: str
    curve25519: bytes
    ed25519: bytes


def is_weak(key: bytes) -> bool:
    """Return whether an X25519 public key is a point of small order: what is agreed with it is known to all.

    The last bit of a key does not count. Source: the list in libsodium's ``x25519_ref10.c``, which is that of
    cr.yp.to/ecdh.html.
    """
    return key[:-1] + bytes([key[-1] & 0x7F]) in _WEAK


class DeviceBundle(Struct, frozen=True):
    """A ``device_keys`` object: what is known, stored and signed of it."""

    user_id: str
    device_id: str
    algorithms: list[str]
    keys: dict[str, str]
    signatures: dict[str, dict[str, str]]


class SignedKey(Struct, frozen=True):
    """A one-time or fallback key, likewise."""

    key: str
    signatures: dict[str, dict[str, str]]
    fallback: bool | UnsetType = UNSET


def known_members(obj: Any, kind: type[Struct]) -> dict[str, Any]:
    """Return the members of a signed object that there should be; whatever else is in it is left out.

    Raises:
        ValueError: A member is missing or of another type, or what is left is longer than ``MAX_BUNDLE``.
    """
    known: dict[str, Any] = msgspec.to_builtins(msgspec.convert(obj, kind))
    if len(msgspec.json.encode(known)) > MAX_BUNDLE:
        raise ValueError(f"a signed object has at most {MAX_BUNDLE} bytes")
    return known


def _refuse_inexact(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError("signed JSON has no fractions")  # noqa: TRY004 - a malformed object, not a bug
    if isinstance(value, int) and abs(value) >= _INTEGER_LIMIT:
        raise ValueError("signed JSON has no integers of 2**53 or more")
    if isinstance(value, Mapping):
        for inner in value.values():
            _refuse_inexact(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_inexact(inner)


def canonical_json(obj: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: sorted keys, no spaces, UTF-8, without the signatures.

    Args:
        obj: A JSON object; its members ``signatures`` and ``unsigned`` are left out.

    Raises:
        ValueError: It holds a fraction, an integer of 2**53 or more, or text that is not Unicode.
    """
    signed = {key: value for key, value in obj.items() if key not in _UNSIGNED_MEMBERS}
    _refuse_inexact(signed)
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def read_key(text: Any) -> bytes:
    """Decode a public key from unpadded base64.

    Raises:
        ValueError: It is not 32 bytes in base64.
    """
    if not isinstance(text, str):
        raise ValueError("a public key is text in base64")  # noqa: TRY004
    key = from_base64(text)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a public key has {KEY_BYTES} bytes")
    return key


def _signature_of(obj: Mapping[str, Any], signer_address: str, key_id: str) -> bytes:
    signatures = obj.get("signatures")
    by_signer = signatures.get(signer_address) if isinstance(signatures, Mapping) else None
    text = by_signer.get(key_id) if isinstance(by_signer, Mapping) else None
    if not isinstance(text, str):
        raise ValueError(f"the object has no signature of {signer_address} with {key_id}")  # noqa: TRY004
    return from_base64(text)


def verify_signed(obj: Mapping[str, Any], signer_address: str, key_id: str, public_key: str | bytes) -> None:
    """Check one signature over an object.

    Args:
        obj: The object with its ``signatures``.
        signer_address: ``@username:server_name``.
        key_id: ``ed25519:DEVICE``.
        public_key: The Ed25519 key, 32 bytes or their base64.

    Raises:
        ValueError: There is no such signature, it does not hold, or something is malformed.
    """
    key = public_key if isinstance(public_key, bytes) else read_key(public_key)
    signature = _signature_of(obj, signer_address, key_id)
    try:
        VerifyKey(key).verify(canonical_json(obj), signature)
    except (BadSignatureError, TypeError, RecursionError) as exc:
        raise ValueError(f"the signature of {signer_address} with {key_id} does not hold") from exc


def verify_bytes(message: bytes, signature: bytes, public_key: bytes) -> None:
    """Check an Ed25519 signature over bytes.

    Raises:
        ValueError: It does not hold, or has not 64 bytes.
    """
    try:
        VerifyKey(public_key).verify(message, signature)
    except BadSignatureError as exc:
        raise ValueError("the signature does not hold") from exc


def verify_device_keys(bundle: Any, address: str, device_id: str) -> DeviceKeys:
    """Check a ``device_keys`` object: that it is of this device, and signed by its own key.

    Raises:
        ValueError: It is no bundle, is too long, names another user or device, lacks a key, has a weak one,
            or its signature does not hold.
    """
    known = known_members(bundle, DeviceBundle)
    if known["user_id"] != address or known["device_id"] != device_id:
        raise ValueError(f"the bundle is not that of {address}, device {device_id}")
    ed25519 = read_key(known["keys"].get(f"ed25519:{device_id}"))
    curve25519 = read_key(known["keys"].get(f"curve25519:{device_id}"))
    if is_weak(curve25519):
        raise ValueError("the bundle's curve25519 key is of small order")
    verify_signed(known, address, f"ed25519:{device_id}", ed25519)
    return DeviceKeys(address, device_id, curve25519, ed25519)
