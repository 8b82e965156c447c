"""Signed objects: the Matrix form of signing, device bundles, one-time keys, pinning."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client.core.directory import Directory
from roost.client.state import Pin
from roost.crypto.keys import DeviceSecrets, device_keys, public_half, signed_key
from roost.signing import canonical_json, verify_device_keys, verify_signed
from roost.wire import unpadded

BOB = DeviceSecrets.from_random(b"b" * 32 + b"B" * 32)
MALLORY = DeviceSecrets.from_random(b"m" * 32 + b"M" * 32)
ADDRESS = "@bob:here"
DEVICE = "BOBPHONE01"


def bundle(secrets: DeviceSecrets = BOB, device: str = DEVICE) -> dict[str, Any]:
    return device_keys(ADDRESS, device, secrets)


# Source: the examples of the Matrix specification's appendix "Canonical JSON".
@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({}, "{}"),
        ({"one": 1, "two": "Two"}, '{"one":1,"two":"Two"}'),
        ({"b": "2", "a": "1"}, '{"a":"1","b":"2"}'),
        ({"a": "日本語"}, '{"a":"日本語"}'),
        ({"本": 2, "日": 1}, '{"日":1,"本":2}'),
        ({"a": None}, '{"a":null}'),
        ({"a": 1, "signatures": {"x": 1}, "unsigned": {"y": 2}}, '{"a":1}'),
    ],
)
def test_canonical_json(obj: dict[str, Any], expected: str) -> None:
    assert canonical_json(obj) == expected.encode()


@pytest.mark.parametrize("value", [1.5, 2**53, -(2**53), [1.0], {"x": float("nan")}, "\ud800"])
def test_values_without_canonical_form_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json({"a": value})


def test_a_bundle_verifies() -> None:
    keys = verify_device_keys(bundle(), ADDRESS, DEVICE)
    assert keys == BOB.public(ADDRESS, DEVICE)


def changed(path: list[str], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(bundle())
    place = made
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["user_id"], "@mallory:here"),
        (["device_id"], "OTHERPHONE"),
        (["algorithms"], "all"),
        (["algorithms"], []),
        (["keys"], None),
        (["keys", f"curve25519:{DEVICE}"], unpadded(MALLORY.curve25519_public)),
        (["keys", f"ed25519:{DEVICE}"], unpadded(MALLORY.ed25519_public)),
        (["keys", f"ed25519:{DEVICE}"], "AAAA"),
        (["keys", f"ed25519:{DEVICE}"], 7),
        (["keys", f"ed25519:{DEVICE}"], "not base64!"),
        (["signatures"], None),
        (["signatures", ADDRESS], []),
        (["signatures", ADDRESS, f"ed25519:{DEVICE}"], unpadded(bytes(64))),
        (["signatures", ADDRESS, f"ed25519:{DEVICE}"], unpadded(bytes(12))),
        (["added"], "later"),
    ],
)
def test_a_changed_bundle_is_refused(path: list[str], value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        verify_device_keys(changed(path, value), ADDRESS, DEVICE)


def test_deep_nesting_is_refused_not_fatal() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    try:
        with pytest.raises((ValueError, RecursionError)):
            verify_device_keys({**bundle(), "deep": deep}, ADDRESS, DEVICE)
    finally:
        while deep:
            deep = deep.pop("x")


def test_unsigned_fields_may_change() -> None:
    verify_device_keys({**bundle(), "unsigned": {"device_display_name": "phone"}}, ADDRESS, DEVICE)


def test_one_time_and_fallback_keys_verify() -> None:
    public = public_half(b"o" * 32)
    for fallback in (False, True):
        key = signed_key(public, ADDRESS, DEVICE, BOB, fallback=fallback)
        assert (key["key"], key.get("fallback", False)) == (unpadded(public), fallback)
        verify_signed(key, ADDRESS, f"ed25519:{DEVICE}", BOB.ed25519_public)
        with pytest.raises(ValueError, match="does not hold"):
            verify_signed(key, ADDRESS, f"ed25519:{DEVICE}", MALLORY.ed25519_public)


@given(st.dictionaries(st.text(), st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | st.booleans()))
def test_any_signed_object_verifies(obj: dict[str, Any]) -> None:
    from roost.crypto.keys import signed  # noqa: PLC0415

    obj.pop("signatures", None)
    made = signed(obj, ADDRESS, DEVICE, BOB)
    verify_signed(made, ADDRESS, f"ed25519:{DEVICE}", BOB.ed25519_public)
    verify_signed(made, ADDRESS, f"ed25519:{DEVICE}", unpadded(BOB.ed25519_public))


def directory() -> tuple[Directory, dict[str, dict[str, Pin]]]:
    pins: dict[str, dict[str, Pin]] = {}
    return Directory("here", pins), pins


def test_first_use_pins_silently() -> None:
    known, _ = directory()
    assert known.learn("bob", {DEVICE: bundle()}) == []
    assert known.recipients("bob") == {DEVICE: BOB.curve25519_public}


def test_a_new_device_shows() -> None:
    known, _ = directory()
    known.learn("bob", {DEVICE: bundle()})
    second = device_keys(ADDRESS, "BOBTABLET1", MALLORY)
    (event,) = known.learn("bob", {DEVICE: bundle(), "BOBTABLET1": second})
    assert (event.device, event.change) == ("BOBTABLET1", "added")
    assert known.learn("bob", {DEVICE: bundle(), "BOBTABLET1": second}) == []


def test_a_removed_device_shows_and_still_verifies() -> None:
    known, _ = directory()
    known.learn("bob", {DEVICE: bundle()})
    (event,) = known.learn("bob", {})
    assert event.change == "removed"
    assert known.recipients("bob") == {}
    assert known.device("bob", DEVICE) == BOB.public(ADDRESS, DEVICE)
    (event,) = known.learn("bob", {DEVICE: bundle()})
    assert event.change == "added"


def test_a_changed_key_is_told_once_and_never_used_unasked() -> None:
    known, _ = directory()
    known.learn("bob", {DEVICE: bundle()})
    (event,) = known.learn("bob", {DEVICE: bundle(MALLORY)})
    assert event.change == "changed"
    assert known.in_doubt("bob")
    assert known.recipients("bob") == {DEVICE: BOB.curve25519_public}
    assert known.learn("bob", {DEVICE: bundle(MALLORY)}) == []
    known.trust("bob")
    assert not known.in_doubt("bob")
    assert known.recipients("bob") == {DEVICE: MALLORY.curve25519_public}


def test_a_reverted_change_needs_no_more_trust() -> None:
    known, _ = directory()
    known.learn("bob", {DEVICE: bundle()})
    known.learn("bob", {DEVICE: bundle(MALLORY)})
    assert known.learn("bob", {DEVICE: bundle()}) == []
    assert not known.in_doubt("bob")


def test_a_bundle_with_a_bad_signature_is_not_used() -> None:
    known, _ = directory()
    (event,) = known.learn("bob", {DEVICE: changed(["algorithms"], [])})
    assert event.change == "invalid"
    assert known.recipients("bob") == {}


def test_an_unknown_user_is_not_remembered() -> None:
    known, pins = directory()
    assert known.learn("nobody", {}) == []
    assert pins == {}
