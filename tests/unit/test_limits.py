"""GCRA in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.identity.limits import Gcra, Limit, limited

NOW = 1_795_000_000_000


def test_burst_then_rate() -> None:
    gcra = Gcra(Limit(rate=10.0, burst=3))
    assert [gcra.take("a", NOW) for _ in range(3)] == [0.0, 0.0, 0.0]
    wait = gcra.take("a", NOW)
    assert 0 < wait <= 0.1
    assert gcra.take("b", NOW) == 0.0
    assert gcra.take("a", NOW + 100) == 0.0
    assert gcra.take("a", NOW + 100) > 0


@pytest.mark.attack("send faster than a limiter allows", "GCRA: burst and rate hold in every interval")
@given(st.lists(st.integers(0, 50), max_size=300))
def test_never_more_than_burst_and_rate(steps: list[int]) -> None:
    gcra = Gcra(Limit(rate=20.0, burst=5))
    now, taken = NOW, 0
    for step in steps:
        now += step
        taken += gcra.take("a", now) == 0.0
    assert taken <= 5 + (now - NOW) * 20 / 1000 + 1


@given(st.integers(1, 20))
def test_the_advised_wait_is_enough(burst: int) -> None:
    gcra = Gcra(Limit(rate=3.0, burst=burst))
    for _ in range(burst):
        assert gcra.take("a", NOW) == 0.0
    wait = gcra.take("a", NOW)
    assert gcra.take("a", NOW + int(wait * 1000) + 1) == 0.0


@pytest.mark.parametrize("jump_ms", [-3_600_000, -1, 3_600_000])
def test_a_clock_that_jumps_locks_no_one_out(jump_ms: int) -> None:
    gcra = Gcra(Limit(rate=2.0, burst=3))
    for _ in range(3):
        assert gcra.take("a", NOW) == 0.0
    assert gcra.take("a", NOW + jump_ms) <= 0.5
    assert gcra.take("a", NOW + jump_ms + 501) == 0.0


@pytest.mark.attack("fill the memory of limiters with made-up names", "the least recently used are forgotten")
def test_memory_is_bounded() -> None:
    gcra = Gcra(Limit(rate=1.0, burst=1), kept=10)
    for number in range(100):
        gcra.take(str(number), NOW)
    assert len(gcra._arrivals) == 10


def test_error_says_how_long() -> None:
    error = limited("sends", 0.25)
    assert (error.code.word, error.retry_after_s) == ("rate_limited", 0.25)
