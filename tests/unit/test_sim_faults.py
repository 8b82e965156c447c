"""Which faults there are, and when they strike."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.faults.profiles import MIXED, NOT_MIXED, PROFILES, ProfileUnknown, listed, parse
from sim.faults.schedule import Strike, TooShort, clock_offset_ms, schedule

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulation.md"
PARTS = ("host", "router", "gateway", "pusher", "coordinator", "broker", "mongo", "redis")
ISSUED = {
    *(f"{what}-{who}" for what in ("kill", "pause") for who in PARTS),
    *(f"{what}-{who}" for what in ("cut", "slow") for who in ("kafka", "mongo", "redis")),
    *(f"fcm-{mode}" for mode in ("quota", "unavailable", "unregistered", "slow")),
    *("flush-redis", "full-disk", "skewed-clocks"),
}

profiles = st.lists(st.sampled_from(sorted(PROFILES)), min_size=1, max_size=6, unique=True)
seeds = st.integers(0, 2**40)


def test_every_fault_is_there_and_says_what_must_hold() -> None:
    assert set(PROFILES) == ISSUED
    for name, profile in PROFILES.items():
        assert profile.name == name
        assert profile.does.endswith(".")
        assert profile.holds.endswith(".")
        assert f"{name} " in listed()
        assert profile.does in listed()


def test_the_documentation_lists_every_fault_as_it_is() -> None:
    text = DOCUMENT.read_text()
    for name, profile in PROFILES.items():
        assert f"| `{name}` | {profile.does} | {profile.holds} |" in text


def test_names_are_composed_with_commas() -> None:
    assert [each.name for each in parse("kill-host, pause-mongo,kill-host")] == ["kill-host", "pause-mongo"]
    mixed = {each.name for each in parse(MIXED)}
    assert mixed == set(PROFILES) - set(NOT_MIXED)
    assert {each.name for each in parse("mixed,full-disk")} == mixed | {"full-disk"}


@pytest.mark.parametrize("text", ["", "kill-bank", "kill-host,", "kill-host,kill-bank", "KILL-HOST"])
def test_an_unknown_name_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ProfileUnknown) as refused:
        parse(text)
    for name in (MIXED, *PROFILES):
        assert name in str(refused.value)


@given(names=profiles, seed=seeds, duration=st.floats(30, 900))
def test_strikes_are_within_the_run_and_one_at_a_time(names: list[str], seed: int, duration: float) -> None:
    strikes = schedule(",".join(names), seed, duration)
    assert {each.name for each in strikes} == set(names)
    single = [each for each in strikes if each.name != "skewed-clocks"]
    assert all(each.at_s > 0 and each.at_s + each.lasts_s < duration for each in single)
    for before, after in itertools.pairwise(single):
        assert before.at_s + before.lasts_s < after.at_s
    for each in single:
        assert 0 <= each.draw < 1
        assert each.target == PROFILES[each.name].target
        assert bool(each.lasts_s) == bool(PROFILES[each.name].lasts_s[1])


@given(names=profiles, seed=seeds)
def test_the_same_seed_gives_the_same_strikes(names: list[str], seed: int) -> None:
    text = ",".join(names)
    assert schedule(text, seed, 60) == schedule(text, seed, 60)


def test_another_seed_gives_other_strikes() -> None:
    drawn = [schedule("kill-host,pause-mongo", seed, 60) for seed in range(20)]
    assert len({tuple(each) for each in drawn}) == 20
    assert {each[0].name for each in drawn} == {"kill-host", "pause-mongo"}


def test_a_long_run_has_repeated_strikes() -> None:
    assert len(schedule("kill-host", 1, 60)) == 3
    assert len(schedule("kill-host", 1, 600)) == 48
    assert len(schedule("kill-host", 1, 20)) == 1


def test_mixed_takes_what_there_is_time_for_and_everything_in_the_end() -> None:
    short = [each.name for each in schedule(MIXED, 7, 60)]
    assert len(short) == 3
    assert len(set(short)) == 3
    assert {each.name for each in schedule(MIXED, 7, 600)} == set(PROFILES) - set(NOT_MIXED)


def test_clocks_are_wrong_from_the_start_and_hold_up_no_other_fault() -> None:
    assert schedule("skewed-clocks", 1, 60) == [Strike(0.0, "skewed-clocks", "clients", 0.0)]
    both = schedule("kill-host,skewed-clocks", 1, 60)
    assert both == [*schedule("skewed-clocks", 1, 60), *both[1:]]
    assert {each.name for each in both[1:]} == {"kill-host"}


def test_a_run_that_is_too_short_says_how_long_it_must_be() -> None:
    names = ",".join(list(PROFILES)[:10])
    with pytest.raises(TooShort, match="10 faults need at least 43 seconds; the run has 20"):
        schedule(names, 1, 20)
    assert len(schedule(names, 1, 43)) == 10


def test_each_person_has_a_clock_of_its_own_wherever_it_lives() -> None:
    offsets = [clock_offset_ms(5, person) for person in range(200)]
    assert offsets == [clock_offset_ms(5, person) for person in range(200)]
    assert len(set(offsets)) == 200
    three_days = 3 * 24 * 3_600_000
    assert -three_days <= min(offsets) < -three_days // 2
    assert three_days // 2 < max(offsets) <= three_days
    assert clock_offset_ms(6, 0) != offsets[0]
