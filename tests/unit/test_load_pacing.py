"""The times of a fixed rate, and who writes to whom."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pacing import Pace, everyone, ring

S = 1_000_000_000


def test_messages_are_due_at_even_times() -> None:
    pace = Pace(5 * S, rate=4, seconds=2)
    assert pace.count == 8
    assert [pace.due_ns(number) for number in range(3)] == [5 * S, 5 * S + S // 4, 5 * S + S // 2]
    assert pace.end_ns == 7 * S


def test_a_delayed_generator_sends_everything_due_with_its_original_times() -> None:
    pace = Pace(0, rate=100, seconds=10)
    owed = pace.owed(3 * S)
    assert owed == 301
    assert max(3 * S - pace.due_ns(number) for number in range(owed)) == 3 * S


def test_nothing_is_due_before_the_start_or_after_the_end() -> None:
    pace = Pace(10 * S, rate=100, seconds=1)
    assert pace.owed(10 * S - 1) == 0
    assert pace.owed(10 * S) == 1
    assert pace.owed(100 * S) == 100


@given(
    rate=st.floats(0.1, 50_000),
    begin_ns=st.integers(0, 10**15),
    later_ns=st.integers(0, 100 * S),
)
def test_exactly_the_due_messages_are_sent(rate: float, begin_ns: int, later_ns: int) -> None:
    pace = Pace(begin_ns, rate, seconds=1000)
    now = begin_ns + later_ns
    owed = pace.owed(now)
    assert pace.due_ns(owed - 1) <= now
    assert owed == pace.count or pace.due_ns(owed) > now


def test_the_wait_ends_when_the_next_one_is_due() -> None:
    pace = Pace(0, rate=10, seconds=1)
    assert pace.wait_s(1, 0) == pytest.approx(0.1)
    assert pace.wait_s(1, S) == 0


@pytest.mark.parametrize(("people", "contacts"), [(200, 10), (20, 10), (12, 3), (7, 2), (2, 1)])
def test_contacts_of_a_ring_write_back(people: int, contacts: int) -> None:
    pairs = ring(people, contacts)
    assert len(set(pairs)) == len(pairs) == people * contacts
    assert {(other, one) for one, other in pairs} == set(pairs)
    assert all(one != other for one, other in pairs)
    assert set(Counter(one for one, _ in pairs).values()) == {contacts}


@pytest.mark.parametrize(("people", "contacts"), [(10, 10), (7, 3)])
def test_a_ring_that_does_not_exist(people: int, contacts: int) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        ring(people, contacts)


def test_everyone_writes_to_everyone_else() -> None:
    assert sorted(everyone(3)) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
