"""Where a log's numbers begin, and what is known of those before."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.log.numbers import BASE_STEP, FIRST_BASE, added, raised
from roost.ids import shard_of
from storage.cluster_rows import LogState

states_of = st.integers(1, 8).flatmap(
    lambda count: st.tuples(
        *(
            st.builds(LogState, st.just(shard), st.integers(1, 2**40), st.integers(0, 10**6))
            for shard in range(count)
        )
    )
)


def test_a_first_start_has_nothing_before() -> None:
    assert added({}, 2, 0) == [LogState(0, FIRST_BASE, 0), LogState(1, FIRST_BASE, 0)]


def test_handled_numbers_are_known_through_many_logs_and_the_oldest_are_forgotten() -> None:
    state = LogState(0, FIRST_BASE, 10)
    assert (state.handled(FIRST_BASE + 9), state.handled(FIRST_BASE + 10)) == (True, False)
    lives = []
    for _ in range(100):
        lives.append(state)
        state = raised(state, 5, 0)
    assert all(state.handled(each.base) for each in lives[-64:])
    assert not any(state.handled(each.base) for each in lives[:-64])
    assert len(state.before) == 64


@given(states_of, st.integers(1, 4), st.data(), st.uuids().map(str))
def test_an_added_shard_knows_what_its_users_shard_had_handled(
    states: tuple[LogState, ...], doublings: int, data: st.DataObject, user: str
) -> None:
    before = {state.shard: state for state in states}
    shards = len(before) << doublings
    made = added(before, shards, 0)
    # A coordinator may have died when some of the rows were there.
    kept = data.draw(st.sets(st.sampled_from(made)) if made else st.just(set()))
    rows = before | {state.shard: state for state in kept}
    rows |= {state.shard: state for state in added(rows, shards, 0)}
    assert sorted(rows) == list(range(shards))
    mine, parent = rows[shard_of(user, shards)], before[shard_of(user, len(before))]
    assert all(mine.handled(seq) for begin, end in parent.spans() for seq in (begin, end - 1))
    if mine.shard not in before:
        assert all(mine.base >= each.base + each.stored + BASE_STEP for each in before.values())
