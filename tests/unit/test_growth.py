"""How many shards there can be, and who has them at first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.control.shard_placement import moves, place, stretched
from cluster.log.growth import MOST, more_for, refusal, shards_told
from cluster.settings import Settings
from roost.ids import shard_of

doubled = st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, 6).map(lambda k: n << k)))


@pytest.mark.parametrize(("present", "wanted"), [(2, 2), (2, 4), (2, 8), (2, MOST), (3, 12), (4096, 4096)])
def test_doubling_once_or_several_times_is_allowed(present: int, wanted: int) -> None:
    assert refusal(present, wanted) == ""


@pytest.mark.parametrize(
    ("present", "wanted", "said"),
    [
        (4, 2, "There are 4 shards, and there cannot be fewer again. There can be 8, 16 or 32: "),
        (4, 0, "cannot be fewer"),
        (4, 12, "From 4 shards there is no way to 12: the number can be doubled"),
        (4, 6, "roost scale shards=8."),
        (2, 8192, "4,096 are the most"),
        (1024, 8192, "There can be 2,048 or 4,096: roost scale shards=2048."),
        (2048, 8192, "There can be 4,096: roost scale shards=4096."),
        (3000, 6000, "has the most there can be"),
    ],
)
def test_another_number_is_refused_with_the_next_that_is_possible(
    present: int, wanted: int, said: str
) -> None:
    assert said in refusal(present, wanted)


@given(doubled, st.uuids().map(str))
def test_the_users_of_a_shard_are_divided_and_never_mixed(numbers: tuple[int, int], user: str) -> None:
    before, after = numbers
    assert shard_of(user, after) % before == shard_of(user, before)


@given(doubled, st.integers(1, 12))
def test_a_new_shard_begins_where_its_users_were_and_few_move(numbers: tuple[int, int], hosts: int) -> None:
    before, after = numbers
    names = [f"host-{number}" for number in range(1, hosts + 1)]
    owners = place(("",) * before, names)
    more = stretched(owners, after)
    assert all(more[shard] == owners[shard % before] for shard in range(after))
    if before % hosts == 0:
        assert moves(more, place(more, names)) == 0


def test_without_owners_new_shards_have_none_either() -> None:
    assert stretched((), 3) == ("", "", "")


@pytest.mark.parametrize(
    ("counts", "shards"), [((1, 1, 1), 2), ((2, 1, 1), 4), ((1, 3, 1), 8), ((4, 2, 1), 8), ((1, 1, 5), 16)]
)
def test_a_first_start_has_two_shards_or_two_for_each(counts: tuple[int, int, int], shards: int) -> None:
    hosts, routers, pushers = counts
    loaded = Settings.model_validate({"cluster": {"hosts": hosts, "routers": routers, "pushers": pushers}})
    assert loaded.first_shards == shards


@pytest.mark.parametrize(
    ("settings", "shards", "said"),
    [
        ({}, 2, []),
        ({}, 8, []),
        ({"shards": 8}, 8, []),
        ({"shards": 16}, 8, ["There are 8 shards: ROOST_SHARDS=16 counts at the first start only"]),
        ({"shards": 2}, 8, ["More of them: roost scale shards=N."]),
        (
            {"cluster": {"hosts": 5}},
            2,
            ["3 of the 5 hosts have nothing to do. More shards: roost scale shards=8"],
        ),
    ],
)
def test_settings_that_do_not_fit_the_shards_are_reported(
    settings: dict[str, object], shards: int, said: list[str]
) -> None:
    told = shards_told(Settings.model_validate(settings), shards)
    assert len(told) == len(said)
    assert all(part in sentence for part, sentence in zip(said, told, strict=True))


def test_the_shard_count_that_gives_each_role_one() -> None:
    assert (more_for(3, 2), more_for(5, 3), more_for(2, 8), more_for(5000, 4096)) == (4, 6, 8, 0)
