"""Identifiers: one spelling each, and what can be read from them."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost import ids

SHARDS_OF_SIX = [1, 8, 8, 5, 5, 1]


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_message_id_tells_its_time(at_ms: int, random: bytes) -> None:
    made = ids.uuid7(at_ms, random)
    assert ids.uuid7_ms(made) == at_ms
    assert (made[14], made[19] in "89ab") == ("7", True)


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_later_ids_sort_later(at_ms: int, one: bytes, other: bytes) -> None:
    assert ids.uuid7(at_ms, one) < ids.uuid7(at_ms + 1, other)


@pytest.mark.attack("send ids that the server cannot date", "only a canonical UUIDv7 is an id")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "0199a0c4-506c-4000-8000-000000000001",
        "0199a0c4-506c-7000-c000-000000000001",
        "0199A0C4-506C-7000-8000-000000000001",
        "0199a0c4506c70008000000000000001",
        "{199a0c4-506c-7000-8000-00000000001}",
        "0199a0c4-506c-7000-8000-00000000000g",
        "0199a0c4-506c-7000-8000-0000000000011",
    ],
)
def test_a_bad_message_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ids.uuid7_ms(text)


@given(st.text())
def test_a_username_has_one_spelling(text: str) -> None:
    try:
        folded = ids.fold_username(text)
    except ValueError:
        return
    assert ids.fold_username(folded) == folded
    assert 3 <= len(folded) <= 32
    assert set(folded) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.")


@pytest.mark.attack(
    "take a username that looks like another's",
    "usernames are of a to z, digits, '_' and '.'",
)
@pytest.mark.parametrize(
    "text", ["ab", "a" * 33, "a b", "al\n", "alice\n", "@alice", "älice", "alice:x", "ali/ce"]
)
def test_a_bad_username_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="username"):
        ids.fold_username(text)


def test_case_does_not_matter() -> None:
    assert ids.fold_username("ALICE_1.b") == "alice_1.b"


@pytest.mark.parametrize("server", ["here", "example.org:8448", "[::1]:80"])
def test_an_address_splits_into_its_parts(server: str) -> None:
    assert ids.parse_address(ids.address_of("alice", server)) == ("alice", server)


@pytest.mark.parametrize(
    "text", ["alice:here", "@alice", "@al:here", "@alice:", "@ALICE:here", "@alice:he re"]
)
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        ids.parse_address(text)


def test_shards_are_stable() -> None:
    # Stored data depends on these: a change of the function needs a migration.
    assert [ids.shard_of(f"user-{number}", 16) for number in range(6)] == SHARDS_OF_SIX


def test_shards_are_even() -> None:
    counts = collections.Counter(ids.shard_of(f"user-{number}", 16) for number in range(16_000))
    assert set(counts) == set(range(16))
    assert min(counts.values()) > 850
    assert max(counts.values()) < 1150
