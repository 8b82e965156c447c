"""Uploaded keys that look well-formed and protect nothing."""

from typing import Any

import pytest
from nacl.bindings import crypto_scalarmult
from nacl.signing import SigningKey

from api.identity.key_validation import (
    validate_device_keys,
    validate_fallback_keys,
    validate_one_time_keys,
)
from roost.errors import RoostError
from roost.signing import canonical_json, is_weak, verify_device_keys
from roost.wire import unpadded

ADDRESS, DEVICE = "@alice:example.org", "PHONEPHONE"
SIGNING = SigningKey(bytes(range(32)))
WEAK = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def points() -> list[bytes]:
    """Return each weak point with its last bit clear and set, which makes no difference."""
    found = [bytes.fromhex(each) for each in WEAK]
    return found + [each[:-1] + bytes([each[-1] | 0x80]) for each in found]


def signed(value: dict[str, Any]) -> dict[str, Any]:
    signature = unpadded(SIGNING.sign(canonical_json(value)).signature)
    return value | {"signatures": {ADDRESS: {f"ed25519:{DEVICE}": signature}}}


def bundle(curve25519: bytes, ed25519: bytes = bytes(SIGNING.verify_key)) -> dict[str, Any]:
    keys = {f"curve25519:{DEVICE}": unpadded(curve25519), f"ed25519:{DEVICE}": unpadded(ed25519)}
    return signed({"user_id": ADDRESS, "device_id": DEVICE, "algorithms": ["a"], "keys": keys})


def one_time(curve25519: bytes = bytes(range(32)), *names: str) -> dict[str, Any]:
    return {f"signed_curve25519:{name}": signed({"key": unpadded(curve25519)}) for name in names or ("A",)}


@pytest.mark.attack(
    "publish an encryption key of small order",
    "both sides know the points, whatever their last bit",
)
@pytest.mark.parametrize("point", points(), ids=bytes.hex)
def test_points_of_small_order(point: bytes) -> None:
    with pytest.raises(RuntimeError):  # what libsodium says of a secret that everybody knows
        crypto_scalarmult(bytes(range(32)), point)
    assert is_weak(point)
    with pytest.raises(RoostError, match="small order"):
        validate_device_keys(bundle(point), ADDRESS, DEVICE)
    with pytest.raises(RoostError, match="small order"):
        validate_one_time_keys(one_time(point), ADDRESS, DEVICE, bytes(SIGNING.verify_key))
    with pytest.raises(RoostError, match="small order"):
        validate_fallback_keys(one_time(point), ADDRESS, DEVICE, bytes(SIGNING.verify_key))
    with pytest.raises(ValueError, match="small order"):
        verify_device_keys(bundle(point), ADDRESS, DEVICE)


@pytest.mark.attack(
    "publish a signing key of small order, with which many signatures hold",
    "libsodium verifies nothing with it",
)
@pytest.mark.parametrize("point", points(), ids=bytes.hex)
def test_a_signing_key_of_small_order_verifies_nothing(point: bytes) -> None:
    """Of such a key many signatures would hold for many messages: libsodium refuses it."""
    with pytest.raises(RoostError) as refused:
        validate_device_keys(bundle(bytes(range(32)), point), ADDRESS, DEVICE)
    assert refused.value.code.word == "invalid_signature"


@pytest.mark.parametrize("near", [b"\x02", b"\x09", b"\xe0\xeb", b"\xef" + b"\xff" * 30 + b"\x7f"])
def test_other_points_are_taken(near: bytes) -> None:
    point = near.ljust(32, b"\x00")
    assert not is_weak(point)
    validate_device_keys(bundle(point), ADDRESS, DEVICE)
    validate_one_time_keys(one_time(point, "A", "B"), ADDRESS, DEVICE, bytes(SIGNING.verify_key))


@pytest.mark.attack("have a fallback key lost without a word", "a device has one of an algorithm")
def test_of_two_fallback_keys_none_is_taken() -> None:
    """A device has one of an algorithm: the other would be gone without a word."""
    key = bytes(SIGNING.verify_key)
    validate_fallback_keys(one_time(), ADDRESS, DEVICE, key)
    validate_fallback_keys({}, ADDRESS, DEVICE, key)
    with pytest.raises(RoostError, match="one fallback key"):
        validate_fallback_keys(one_time(bytes(range(32)), "A", "B"), ADDRESS, DEVICE, key)
