"""The life of a key, from its making to its retirement, over times alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.keyring import PURPOSES, Purpose, RotationRefused, Secrets, State, fresh_secrets

NOW = 1_700_000_000_000


def states(ring: Secrets, purpose: Purpose, now: int) -> list[str]:
    keys = sorted((key for key in ring.keys if key.purpose == purpose), key=lambda key: key.not_before_ms)
    return [str(ring.state_of(key, now)) for key in keys]


def test_new_key_waits_for_its_turn() -> None:
    ring = fresh_secrets(NOW).rotated(["storage"], NOW, in_ms=100)
    assert states(ring, "storage", NOW + 99) == ["active", "waiting"]
    assert states(ring, "storage", NOW + 100) == ["decrypt-only", "active"]
    assert len({ring.active(purpose, NOW).id for purpose in PURPOSES}) == len(PURPOSES)


def test_old_token_key_verifies_until_its_last_token_has_expired() -> None:
    ring = fresh_secrets(NOW).rotated(["token"], NOW, in_ms=100, kept_ms={"token": 600})
    assert states(ring, "token", NOW + 699) == ["verify-only", "active"]
    assert states(ring, "token", NOW + 700) == ["retired", "active"]
    assert len(ring.usable("token", NOW)) == 2, "it is published before it signs"


def test_only_what_is_asked_for_is_rotated() -> None:
    before = fresh_secrets(NOW)
    ring = before.rotated(["token", "link"], NOW, kept_ms={"token": 1, "link": 2, "refresh": 3})
    assert ring.serial == before.serial + 1
    assert {key.purpose for key in ring.keys if key not in before.keys} == {"token", "link"}
    assert ring.usable("refresh", NOW) == before.usable("refresh", NOW)


def test_second_rotation_waits_for_the_first() -> None:
    ring = fresh_secrets(NOW).rotated(["token"], NOW, in_ms=100)
    with pytest.raises(RotationRefused, match="waiting"):
        ring.rotated(["token"], NOW + 99)
    assert states(ring.rotated(["token"], NOW + 100), "token", NOW + 101)[-1] == "active"


@pytest.mark.attack("key retired that is in use")
def test_key_in_use_or_waiting_cannot_be_retired() -> None:
    ring = fresh_secrets(NOW).rotated(["storage"], NOW, in_ms=100)
    old, new = ring.usable("storage", NOW)
    for key, now in ((old, NOW), (new, NOW), (new, NOW + 100)):
        with pytest.raises(RotationRefused, match=r"active|waiting"):
            ring.retired(key.id, now)
    with pytest.raises(RotationRefused, match="no key"):
        ring.retired("s0", NOW)


def test_retired_key_is_gone_but_for_its_name() -> None:
    ring = fresh_secrets(NOW).rotated(["storage"], NOW)
    old = ring.usable("storage", NOW)[0]
    after = ring.retired(old.id, NOW)
    found = after.find(old.id)
    assert found is not None
    assert (found.secret, after.state_of(found, NOW)) == (b"", State.RETIRED)
    with pytest.raises(RotationRefused, match="already"):
        after.retired(old.id, NOW)
    assert not after.lacks(ring)
    assert ring.lacks(after) == [old.id]


def test_clock_that_was_set_back_has_an_active_key() -> None:
    assert fresh_secrets(NOW).active("token", NOW - 1_000_000).purpose == "token"


@given(st.lists(st.tuples(st.sampled_from(PURPOSES), st.integers(0, 50), st.integers(0, 80)), max_size=12))
def test_whatever_is_rotated_each_purpose_has_one_active_key(steps: list[tuple[Purpose, int, int]]) -> None:
    ring, now = fresh_secrets(NOW), NOW
    for purpose, in_ms, later in steps:
        active = ring.active(purpose, now)
        try:
            after = ring.rotated([purpose], now, in_ms=in_ms, kept_ms={"token": 30, "refresh": 5, "link": 0})
        except RotationRefused:
            after = ring
        assert not after.lacks(ring)
        if in_ms:
            assert after.active(purpose, now).id == active.id, "until its turn the old one is used"
        ring, now = after, now + later
        for each in PURPOSES:
            found = [key for key in ring.keys if key.purpose == each]
            assert sum(ring.state_of(key, now) is State.ACTIVE for key in found) == 1
