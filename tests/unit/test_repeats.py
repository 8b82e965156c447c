"""Repeats are known by their ids, and only old ones have to be looked up."""

import hypothesis.strategies as st
from hypothesis import given

from actors.user.repeats import Repeats, Seen
from roost.ids import uuid7


def make(ms: int, tail: int = 0) -> str:
    return uuid7(ms, tail.to_bytes(10, "big"))


def test_an_id_above_the_horizon_is_new_once() -> None:
    seen = Seen(make(1000))
    assert seen.is_repeat(make(1001)) is False
    seen.add(make(1001))
    assert seen.is_repeat(make(1001)) is True


def test_an_id_at_or_below_the_horizon_must_be_looked_up() -> None:
    seen = Seen(make(1000))
    assert seen.is_repeat(make(1000)) is None
    assert seen.is_repeat(make(5)) is None


def test_a_burst_in_one_millisecond_needs_no_look_up() -> None:
    seen = Seen("")
    for tail in (7, 3, 9, 1, 500, 2) * 1:
        assert seen.is_repeat(make(1000, tail)) is False
        seen.add(make(1000, tail))
    assert seen.horizon == ""


def test_old_ids_are_forgotten_and_then_looked_up() -> None:
    seen = Seen("")
    for second in range(100):
        seen.add(make(1000 + 1000 * second))
    assert seen.is_repeat(make(1000)) is None
    assert seen.is_repeat(make(1000 + 99_000)) is True


def test_memory_is_bounded_in_an_endless_burst() -> None:
    seen = Seen("")
    for tail in range(10_000):
        seen.add(make(1000, tail))
    assert len(seen._ids) < 4096


@given(st.lists(st.integers(1, 60_000), max_size=300))
def test_no_repeat_is_ever_mistaken_for_new(times: list[int]) -> None:
    seen, added = Seen(""), set()
    for ms in times:
        message_id = make(ms)
        verdict = seen.is_repeat(message_id)
        if message_id in added:
            assert verdict is not False
        elif verdict is False:
            seen.add(message_id)
            added.add(message_id)


def test_a_first_message_is_new_without_a_look_up() -> None:
    repeats = Repeats(make(1000))
    for number in range(50):
        assert repeats.is_repeat(f"DEVICE{number}", make(1001, number)) is False
        repeats.add(f"DEVICE{number}", make(1001, number))
    assert repeats.is_repeat("DEVICE7", make(1001, 7)) is True
    assert repeats.is_repeat("LATEDEVICE", make(1000)) is None
    assert repeats.newest == make(1001, 49)


def test_newer_messages_do_not_raise_other_senders_horizon() -> None:
    repeats = Repeats(make(1000))
    repeats.add("AHEADDEVICE", make(300_000))
    assert repeats.is_repeat("OTHERDEVICE", make(1001)) is False


DEVICES = st.sampled_from(["A", "B", "C"])


@given(st.lists(st.tuples(DEVICES, st.integers(1, 60_000)), max_size=200), st.integers(0, 200))
def test_no_repeat_is_mistaken_for_new_after_a_reload(sent: list[tuple[str, int]], crash: int) -> None:
    repeats, kept = Repeats(""), set()
    for number, (device, ms) in enumerate(sent):
        if number == crash:
            repeats = Repeats(max((each for _, each in kept), default=""))
        message_id = make(ms)
        known = repeats.is_repeat(device, message_id)
        if known is None:
            known = (device, message_id) in kept
        assert known == ((device, message_id) in kept)
        if not known:
            repeats.add(device, message_id)
            kept.add((device, message_id))
    assert repeats.newest == max((each for _, each in kept), default="")
