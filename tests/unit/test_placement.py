from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cluster.placement import moves, place

members = st.lists(st.sampled_from([f"host-{n}" for n in range(1, 9)]), unique=True, min_size=1)
shards = st.integers(1, 64)


def balanced(owners: tuple[str, ...], living: list[str]) -> bool:
    held = Counter(owners)
    least = len(owners) // len(living)
    most = -(-len(owners) // len(living))
    return set(held) <= set(living) and all(least <= held[member] <= most for member in living)


@given(shards, members)
def test_everybody_gets_the_floor_or_the_ceiling(count: int, living: list[str]) -> None:
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
    # The least possible: keep as much as any balanced placement over the new members could keep.
    least, more = divmod(count, len(following))
    held = sorted((Counter(before)[member] for member in following), reverse=True)
    kept = sum(min(load, least + (rank < more)) for rank, load in enumerate(held))
    assert moves(before, after) == count - kept


def test_without_members_the_owners_stay() -> None:
    assert place(("a", "b", ""), []) == ("a", "b", "")
