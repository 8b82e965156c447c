"""Safety numbers: Signal's construction, the same on both sides, another one for another key."""

import pytest

from roost.crypto.safety_numbers import SafetyNumber, fingerprint

ALICE, BOB, MALLORY = (
    fingerprint(key, f"@{name}:here")
    for name, key in (("alice", b"a" * 32), ("bob", b"b" * 32), ("bob", b"m" * 32))
)


def test_the_digits_are_those_of_signals_construction() -> None:
    # Source: libsignal, rust/protocol/src/fingerprint.rs, the vectors of version 1.
    alice = bytes.fromhex("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868")
    bob = bytes.fromhex("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b")
    number = SafetyNumber(fingerprint(alice, "+14152222222"), fingerprint(bob, "+14153333333"))
    assert number.digits == "300354477692869396892869876765458257569162576843440918079131"
    assert str(number).split() == [number.digits[at : at + 5] for at in range(0, 60, 5)]


def test_both_see_the_same_and_scan_each_other() -> None:
    mine, theirs = SafetyNumber(ALICE, BOB), SafetyNumber(BOB, ALICE)
    assert mine.digits == theirs.digits
    assert mine.matches(theirs.payload)
    assert mine.matches(theirs.digits)
    assert mine.matches(f" {theirs}\n")


@pytest.mark.attack(
    "stand between two people who compare their safety numbers", "another key has another number"
)
def test_another_key_does_not_match() -> None:
    mine, theirs = SafetyNumber(ALICE, MALLORY), SafetyNumber(BOB, ALICE)
    assert not mine.matches(theirs.payload)
    assert not mine.matches(theirs.digits)
    assert not mine.matches(mine.payload), "one's own code"
    for odd in ("", "roost:safety/1/", theirs.payload + "x", "roost:safety/1/日本/日本", theirs.digits[:-1]):
        assert not SafetyNumber(ALICE, BOB).matches(odd)
