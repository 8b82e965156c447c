"""Repeats are known by their ids, and only old ones have to be looked up."""

import hypothesis.strategies as st
from hypothesis import given

from actors.repeats import Seen
from roost.ids import uuid7


def make(ms: int, tail: int = 0) -> str:
    return uuid7(ms, tail.to_bytes(10, "big"))


def test_an_id_above_the_floor_is_new_once() -> None:
    seen = Seen(make(1000))
    assert seen.is_repeat(make(1001)) is False
    seen.add(make(1001))
    assert seen.is_repeat(make(1001)) is True


def test_an_id_at_or_below_the_floor_must_be_looked_up() -> None:
    seen = Seen(make(1000))
    assert seen.is_repeat(make(1000)) is None
    assert seen.is_repeat(make(5)) is None


def test_a_burst_in_one_millisecond_needs_no_look_up() -> None:
    seen = Seen("")
    for tail in (7, 3, 9, 1, 500, 2) * 1:
        assert seen.is_repeat(make(1000, tail)) is False
        seen.add(make(1000, tail))
    assert seen.floor == ""


def test_old_ids_are_forgotten_and_then_looked_up() -> None:
    seen = Seen("")
    for second in range(100):
        seen.add(make(1000 + 1000 * second))
    assert seen.is_repeat(make(1000)) is None
    assert seen.is_repeat(make(1000 + 99_000)) is True
    assert seen.newest == make(1000 + 99_000)


def test_memory_is_bounded_in_an_endless_burst() -> None:
    seen = Seen("")
    for tail in range(10_000):
        seen.add(make(1000, tail))
    assert len(seen._ids) < 4096


@given(st.lists(st.integers(1, 60_000), max_size=300))
def test_no_repeat_is_ever_taken_for_new(times: list[int]) -> None:
    seen, added = Seen(""), set()
    for ms in times:
        message_id = make(ms)
        verdict = seen.is_repeat(message_id)
        if message_id in added:
            assert verdict is not False
        elif verdict is False:
            seen.add(message_id)
            added.add(message_id)
