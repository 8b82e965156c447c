"""The server's time, on machines whose clock is set and that sleep."""

import pytest

from roost.client.transport.server_time import ServerTime

NOW = 1_790_000_000_000


class Machine:
    def __init__(self) -> None:
        self.wall, self.elapsed = NOW, 5_000
        self.time = ServerTime(lambda: self.wall, lambda: self.elapsed)

    def passes(self, ms: int) -> None:
        self.wall += ms
        self.elapsed += ms


@pytest.mark.parametrize("jump_ms", [600_000, -600_000, 8 * 86_400_000])
def test_setting_the_clock_changes_nothing(jump_ms: int) -> None:
    machine = Machine()
    machine.time.learn(NOW + 3_000)
    machine.wall += jump_ms
    machine.passes(1_000)
    assert machine.time.now_ms() == NOW + 4_000
    assert machine.time.offset_ms == 3_000 - jump_ms
    assert machine.time.jumped()
    assert not machine.time.jumped(), "it is told once"


def test_what_an_earlier_run_knew_holds_until_the_server_says_something() -> None:
    machine = Machine()
    machine.time.assume(-600_000)
    machine.passes(1_000)
    assert machine.time.now_ms() == NOW - 599_000
    machine.time.learn(NOW)
    assert machine.time.now_ms() == NOW


def test_sleep_that_the_clock_does_not_count_is_noticed() -> None:
    machine = Machine()
    machine.passes(60_000)
    assert not machine.time.jumped()
    machine.wall += 30_000
    assert machine.time.jumped()


@pytest.mark.parametrize(("date_ms", "learnt"), [(0, False), (1_000, False), (-1_000, False), (60_000, True)])
def test_a_date_is_taken_over_only_if_it_says_something_new(date_ms: int, learnt: bool) -> None:  # noqa: FBT001
    machine = Machine()
    machine.time.learn_date(NOW + date_ms)
    assert machine.time.now_ms() == NOW + (date_ms + 500 if learnt else 0)
