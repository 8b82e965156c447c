from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cluster.control.shard_placement import moves, place, reaching

members = st.lists(st.sampled_from([f"host-{n}" for n in range(1, 9)]), unique=True, min_size=1)
shards = st.integers(1, 64)


def least_moves(before: tuple[str, ...], following: list[str]) -> int:
    """Return the least possible: keep as much as any balanced placement over the new members could keep."""
    least, more = divmod(len(before), len(following))
    held = sorted((Counter(before)[member] for member in following), reverse=True)
    return len(before) - sum(min(load, least + (rank < more)) for rank, load in enumerate(held))


def balanced(owners: tuple[str, ...], living: list[str]) -> bool:
    held = Counter(owners)
    least = len(owners) // len(living)
    most = -(-len(owners) // len(living))
    return set(held) <= set(living) and all(least <= held[member] <= most for member in living)


@given(shards, members)
def test_every_member_gets_the_floor_or_the_ceiling(count: int, living: list[str]) -> None:
    assert balanced(place([""] * count, living), living)


@given(shards, members)
def test_order_of_members_does_not_matter(count: int, living: list[str]) -> None:
    assert place([""] * count, living) == place([""] * count, living[::-1])


@given(shards, members)
def test_nothing_moves_without_a_change(count: int, living: list[str]) -> None:
    owners = place([""] * count, living)
    assert place(owners, living) == owners


@given(shards, members, st.data())
def test_a_change_moves_no_more_shards_than_it_must(
    count: int, living: list[str], data: st.DataObject
) -> None:
    before = place([""] * count, living)
    following = data.draw(members)
    after = place(before, following)
    assert balanced(after, following)
    assert moves(before, after) == least_moves(before, following)


@given(shards, st.lists(members, min_size=2, max_size=8))
def test_the_rules_hold_after_any_history(count: int, history: list[list[str]]) -> None:
    owners: tuple[str, ...] = ("",) * count
    for living in history:
        following = place(owners, living)
        assert balanced(following, living)
        assert moves(owners, following) == least_moves(owners, living)
        assert place(owners, [*living[::-1], living[0]]) == following
        owners = following


@given(shards, members, st.data())
def test_only_a_leaving_member_gives_up_shards(count: int, living: list[str], data: st.DataObject) -> None:
    before = place([""] * count, [*living, "host-0"])
    gone = data.draw(st.sampled_from([*living, "host-0"]))
    remaining = [member for member in [*living, "host-0"] if member != gone]
    after = place(before, remaining)
    assert all(new == old for old, new in zip(before, after, strict=True) if old != gone)


@given(shards, members)
def test_a_new_member_takes_its_share_and_no_other_gains(count: int, living: list[str]) -> None:
    before = place([""] * count, living)
    after = place(before, [*living, "host-0"])
    assert all(new in (old, "host-0") for old, new in zip(before, after, strict=True))


@given(shards, st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_roles_of_the_same_count_have_the_same_shards(count: int, history: list[int]) -> None:
    owners: dict[str, tuple[str, ...]] = {"host": ("",) * count, "router": ("",) * count}
    for number in history:
        for role, held in owners.items():
            owners[role] = place(held, [f"{role}-{each}" for each in range(1, number + 1)])
    assert owners["router"] == tuple(each.replace("host", "router") for each in owners["host"])


def test_ten_thousand_members() -> None:
    living = [f"host-{number}" for number in range(10_000)]
    before = place([""] * 65_536, living)
    assert balanced(before, living)
    after = place(before, living[1:])
    assert balanced(after, living[1:])
    assert moves(before, after) == Counter(before)["host-0"] == 7


def test_without_members_the_owners_stay() -> None:
    assert place(("a", "b", ""), []) == ("a", "b", "")


def test_a_router_is_left_out_when_the_log_answers_only_others() -> None:
    routers = ["router-1", "router-2"]
    assert reaching(routers, {"router-1": (1.5, 0.0), "router-2": (0.2, 60.0)}) == ["router-2"]
    assert reaching(routers, {"router-1": (1.4, 60.0), "router-2": (0.2, 60.0)}) == routers


def test_no_router_is_left_out_while_the_log_is_away_or_just_back() -> None:
    routers = ["router-1", "router-2"]
    assert reaching(routers, {"router-1": (9.0, 0.0), "router-2": (9.0, 0.0)}) == routers
    assert reaching(routers, {"router-1": (9.0, 0.0), "router-2": (0.1, 1.4)}) == routers
    assert reaching(["router-1"], {"router-1": (9.0, 0.0), "router-2": (0.1, 60.0)}) == ["router-1"]
    assert reaching(routers, {}) == routers
