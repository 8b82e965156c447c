"""Numbers across the renewal of the log: none is given twice, none is given under the wrong base."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from actors.service import MAP_LEASE_S
from api.sending import sequence
from api.sending.sequence import Sequencer
from cluster.log.numbers import added, raised
from roost.errors import Unavailable
from roost.ids import shard_of
from storage.cluster_rows import LogState

SHARDS = 2
OLD, NEW = 1, 1 + 2**32


class Log:
    """Answers appends with offsets it was told; `meanwhile` happens before the answer."""

    def __init__(self) -> None:
        self.offsets: list[int | Exception] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def append(self, _topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        answer, self.offsets = self.offsets[: len(items)], self.offsets[len(items) :]
        if self.meanwhile is not None:
            await self.meanwhile()
        return answer


class Store:
    def __init__(self) -> None:
        self.mailboxes = self.cluster = self
        self.bases = [OLD] * SHARDS
        self.states: dict[int, LogState] = {}
        self.entries: set[int] = set()

    async def log_states(self) -> dict[int, LogState]:
        return self.states or {shard: LogState(shard, base, 0) for shard, base in enumerate(self.bases)}

    async def exists(self, _user: str, seq: int) -> bool:
        return seq in self.entries


def user_on(shard: int) -> str:
    return next(name for name in map(str, range(100)) if shard_of(name, SHARDS) == shard)


class World:
    def __init__(self) -> None:
        self.log, self.store = Log(), Store()
        log: Any = self.log
        store: Any = self.store
        self.sequencer = Sequencer(log, store)
        self.sequencer.adopt(self.store.bases)

    async def renew(self) -> None:
        self.store.bases = [NEW] * SHARDS
        self.sequencer.adopt(self.store.bases)

    async def append(self, *offsets: tuple[int, int]) -> list[int | None]:
        """Append one record for each (shard, offset); None where no number was given."""
        self.log.offsets = [offset for _, offset in offsets]
        found = await self.sequencer.append([(user_on(shard), b"") for shard, _ in offsets])
        return [None if isinstance(each, Unavailable) else each for each in found]


async def test_a_call_that_spans_the_renewal_gets_no_number_of_the_old_log_under_the_new_base() -> None:
    world = World()
    await world.append((0, 499), (1, 7))
    world.log.meanwhile = world.renew
    # Shard 0 was written before the renewal and shard 1 after it: the call ends after both.
    assert await world.append((0, 500), (1, 0)) == [None, NEW]
    world.log.meanwhile = None
    assert await world.append((0, 3)) == [NEW + 3]


async def test_two_records_of_one_shard_on_both_sides_of_the_renewal() -> None:
    world = World()
    await world.append((0, 499))
    world.log.meanwhile = world.renew
    assert await world.append((0, 500), (0, 0), (0, 2)) == [None, NEW, NEW + 2]
    world.log.meanwhile = None
    assert await world.append((0, 3)) == [NEW + 3]


async def test_paused_messages_get_the_new_numbers() -> None:
    world = World()
    await world.append((0, 499))
    world.log.meanwhile = world.renew
    assert await world.append((0, 4)) == [NEW + 4]


async def test_an_offset_that_went_back_is_explained_by_the_store() -> None:
    world = World()
    await world.append((0, 499))
    world.store.bases = [NEW] * SHARDS  # the map with it has not come yet
    assert await world.append((0, 4)) == [NEW + 4]
    assert world.sequencer.resyncs == 1


@pytest.mark.parametrize("offsets", [(0,), (0, 1), (0, 1, 2)])
async def test_a_topic_recreated_by_hand_gives_out_no_number_twice(
    offsets: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No role has noticed yet, so no base has risen; the old log held as many records as the new one."""
    monkeypatch.setattr(sequence, "_RESYNC_PAUSE_S", 0.0)
    world = World()
    assert await world.append(*((0, offset) for offset in offsets)) == [OLD + each for each in offsets]
    assert await world.append(*((0, offset) for offset in offsets)) == [None] * len(offsets)
    await world.renew()
    assert await world.append((0, len(offsets))) == [NEW + len(offsets)]


async def test_the_same_offset_twice_means_another_log() -> None:
    world = World()
    assert await world.append((0, 5)) == [OLD + 5]
    world.log.meanwhile = world.renew
    assert await world.append((0, 5)) == [NEW + 5]


async def test_the_first_record_of_a_log_has_a_number() -> None:
    world = World()
    assert world.sequencer.end_of(0) == OLD
    assert await world.append((0, 0), (0, 1)) == [OLD, OLD + 1]
    assert world.sequencer.end_of(0) == OLD + 2


@pytest.mark.parametrize("how", ["started over", "grown"])
async def test_handled_messages_survive_whether_delivered_or_dropped(how: str) -> None:
    """Else a blocked sender, whose message is in no mailbox, could tell that it is."""
    world = World()
    before = {shard: LogState(shard, OLD, 100) for shard in range(SHARDS)}
    if how == "grown":
        more = added(before, SHARDS * 2, 0)
        world.store.states = before | {state.shard: state for state in more}
    else:
        world.store.states = {shard: raised(state, 0, 0) for shard, state in before.items()}
    world.sequencer.adopt([state.base for state in world.store.states.values()])
    last = world.sequencer.shards - 1
    user = next(name for name in map(str, range(100)) if shard_of(name, last + 1) == last)
    went_somewhere, went_nowhere, went_down = OLD + 98, OLD + 99, OLD + 100
    world.store.entries = {went_somewhere}
    assert await world.sequencer.survives(user, went_somewhere)
    assert await world.sequencer.survives(user, went_nowhere)
    assert not await world.sequencer.survives(user, went_down)


async def test_added_shards_have_numbers_of_their_own() -> None:
    world = World()
    assert await world.append((0, 5)) == [OLD + 5]
    world.store.bases += [NEW, NEW]
    world.sequencer.adopt(world.store.bases)
    assert (world.sequencer.shards, world.sequencer.top_base) == (4, NEW)
    user = next(name for name in map(str, range(100)) if shard_of(name, 4) == 2)
    world.log.offsets = [0]
    assert await world.sequencer.append([(user, b"")]) == [NEW]
    assert world.sequencer.end_of(0) == OLD + 6, "what is known of the others stays"


async def test_a_gateway_without_heartbeats_asks_which_log_it_wrote_to() -> None:
    """The new log is longer by now than what this gateway saw of the old one, and no map has come."""
    world = World()
    world.sequencer.lease.renew()
    assert await world.append((0, 3)) == [OLD + 3]
    world.store.bases = [NEW] * SHARDS
    world.sequencer.lease._renewed_s -= MAP_LEASE_S + 1
    assert await world.append((0, 7)) == [None]
    assert await world.append((0, 8)) == [NEW + 8]


async def test_the_first_record_of_a_log_that_is_lost_meanwhile_gets_no_number_of_the_next_one() -> None:
    """Its offset is 0, as the next log's first is: which one's it is, no one here can know."""
    world = World()
    world.log.meanwhile = world.renew
    assert await world.append((0, 0)) == [None]
    world.log.meanwhile = None
    assert await world.append((0, 0)) == [NEW]


async def test_nothing_is_numbered_by_who_has_missed_that_shards_were_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be on a shard that is no longer its recipient's, whose host keeps it for an operator."""
    world = World()
    assert await world.append((0, 5)) == [OLD + 5]
    world.store.bases = [OLD] * (2 * SHARDS)
    monkeypatch.setattr(world.sequencer.lease, "expired", lambda: True)
    assert await world.append((0, 6)) == [None]
