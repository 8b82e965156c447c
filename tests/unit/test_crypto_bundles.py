"""Signed objects: the Matrix form of signing, device bundles, one-time keys, pinning."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.identity.key_validation import validate_device_keys, validate_one_time_keys
from roost.client.core.directory import Directory
from roost.client.state import Pin
from roost.crypto.keys import DeviceSecrets, device_keys, public_half, signed_key
from roost.errors import RoostError
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


@pytest.mark.attack(
    "have two readings of one signed object",
    "what has no canonical form is not signed and not verified",
)
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


@pytest.mark.attack("change a device's bundle on the server", "the bundle's signature")
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
        (["algorithms"], ["\ud800"]),
        (["keys", "other:KEY"], "x" * 4096),
        (["signatures", ADDRESS, "other:KEY"], "x" * 4096),
    ],
)
def test_a_changed_bundle_is_refused(path: list[str], value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        verify_device_keys(changed(path, value), ADDRESS, DEVICE)


def nested(depth: int) -> dict[str, Any]:
    deep: dict[str, Any] = {}
    for _ in range(depth):
        deep = {"x": deep}
    return deep


@pytest.mark.attack(
    "add unsigned members to a bundle, deep or long",
    "only members that are known and signed are kept and passed on",
)
@pytest.mark.parametrize(
    "added",
    [
        {"unsigned": {"device_display_name": "phone"}},
        {"unsigned": [nested(900)]},
        {"unsigned": "\ud800"},
        {"later": "x" * 10_000},
    ],
    ids=["name", "deep", "surrogate", "long"],
)
def test_what_is_not_signed_is_left_out(added: dict[str, Any]) -> None:
    assert verify_device_keys(bundle() | added, ADDRESS, DEVICE) == BOB.public(ADDRESS, DEVICE)
    assert validate_device_keys(bundle() | added, ADDRESS, DEVICE) == bundle()
    key = signed_key(public_half(b"o" * 32), ADDRESS, DEVICE, BOB)
    made = {"signed_curve25519:A": key | added}
    assert validate_one_time_keys(made, ADDRESS, DEVICE, BOB.ed25519_public) == {"signed_curve25519:A": key}


@pytest.mark.attack(
    "publish a one-time key of another form",
    "the form is checked before anything is made of it",
)
@pytest.mark.parametrize("of", [{"key": 7}, {"key": ["x"]}, {"signatures": None}, {"fallback": "\ud800"}])
def test_a_one_time_key_of_another_form_is_invalid(of: dict[str, Any]) -> None:
    key = signed_key(public_half(b"o" * 32), ADDRESS, DEVICE, BOB) | of
    with pytest.raises(RoostError) as caught:
        validate_one_time_keys({"signed_curve25519:A": key}, ADDRESS, DEVICE, BOB.ed25519_public)
    assert caught.value.code.word == "invalid"


@pytest.mark.attack(
    "have the server spread signatures that it has not checked",
    "only the device's own signature is kept",
)
def test_signatures_of_others_are_not_kept() -> None:
    made = bundle()
    made["signatures"]["@mallory:here"] = {"ed25519:X": "x" * 1000}
    made["signatures"][ADDRESS]["ed25519:OTHER"] = "y"
    assert validate_device_keys(made, ADDRESS, DEVICE) == bundle()


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


@pytest.mark.attack(
    "change the keys of a device that is known",
    "keys are pinned, and a change is the user's to accept",
)
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


@pytest.mark.attack(
    "add a device to a user, to be sealed to",
    "it is told, and held until it is trusted, if the app wants that",
)
@pytest.mark.parametrize("hold", [True, False])
def test_an_added_device_is_told_and_held_if_the_app_wants_it(hold: bool) -> None:  # noqa: FBT001
    known = Directory("here", {}, hold_new=hold)
    bundles = {DEVICE: bundle(), "NEWPHONE01": bundle(MALLORY, "NEWPHONE01")}
    assert known.learn("bob", {DEVICE: bundles[DEVICE]}) == []
    assert not known.in_doubt("bob"), "what is there at first sight is trusted"
    (event,) = known.learn("bob", bundles)
    assert (event.device, event.change, event.held) == ("NEWPHONE01", "added", hold)
    assert known.in_doubt("bob") == hold
    assert known.learn("bob", bundles) == []
    assert [each.change for each in known.learn("bob", {DEVICE: bundles[DEVICE]})] == ["removed"]
    assert not known.in_doubt("bob"), "nothing would be sealed to it"
    (again,) = known.learn("bob", bundles)
    assert (again.change, again.held) == ("added", hold)
    known.trust("bob")
    assert not known.in_doubt("bob")
    assert set(known.recipients("bob")) == set(bundles)


def test_a_reverted_change_needs_no_more_trust() -> None:
    known, _ = directory()
    known.learn("bob", {DEVICE: bundle()})
    known.learn("bob", {DEVICE: bundle(MALLORY)})
    assert known.learn("bob", {DEVICE: bundle()}) == []
    assert not known.in_doubt("bob")


@pytest.mark.attack("hand out a bundle whose signature does not hold", "the client verifies it")
def test_a_bundle_with_a_bad_signature_is_not_used() -> None:
    known, _ = directory()
    (event,) = known.learn("bob", {DEVICE: changed(["algorithms"], [])})
    assert event.change == "invalid"
    assert known.recipients("bob") == {}


def test_an_unknown_user_is_not_remembered() -> None:
    known, pins = directory()
    assert known.learn("nobody", {}) == []
    assert pins == {}
