"""The log keeper over a small world in memory that can crash at any step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from cluster import log_keeper
from cluster.log_keeper import BASE_STEP, FIRST_BASE, LogKeeper, LogRefused
from roost.errors import Unavailable
from storage.records import Dead, LogState, Roster, ShardMap

SHARDS = 3
IN_2026 = 1_780_000_000_000
HOUR_MS = 3_600_000


class Crash(BaseException):
    """The coordinator's process ends here."""


@dataclass
class World:
    """MongoDB, Kafka and the roles: what outlives the coordinator."""

    states: dict[int, LogState] = field(default_factory=dict)
    phase_now: str = ""
    topics: dict[str, int] = field(default_factory=dict)
    trimmed: dict[int, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    full: bool = True
    writer_lives: dict[str, str] = field(default_factory=lambda: {"gateway-1": "a", "host-1": "a"})
    restart_while_draining: bool = False
    steps: int = 0
    crash_at: int | None = None
    deleted_unheld: bool = False
    created_unheld: bool = False
    published: list[tuple[int, ...]] = field(default_factory=list)
    now_ms: int = 0

    def step(self) -> None:
        if self.crash_at is not None and self.steps >= self.crash_at:
            raise Crash
        self.steps += 1

    # ClusterState
    async def log_states(self) -> dict[int, LogState]:
        return dict(self.states)

    async def put_log_states(self, states: Sequence[LogState]) -> None:
        self.step()
        self.states |= {state.shard: state for state in states}

    async def phase(self) -> str:
        return self.phase_now

    async def put_phase(self, phase: str) -> None:
        self.step()
        self.phase_now = phase

    async def raise_stored(self, base: int, stored: Mapping[int, int]) -> None:
        raise NotImplementedError

    async def shard_map(self) -> ShardMap | None:
        raise NotImplementedError

    async def put_shard_map(self, shard_map: ShardMap) -> bool:
        raise NotImplementedError

    async def roster(self) -> Roster | None:
        raise NotImplementedError

    async def put_roster(self, roster: Roster) -> None:
        raise NotImplementedError

    async def bury(self, dead: Sequence[Dead]) -> None:
        raise NotImplementedError

    # LogAdmin
    async def partitions(self, topic: str) -> int | None:
        return self.topics.get(topic)

    async def starts(self, topic: str) -> dict[int, int]:
        return dict.fromkeys(range(self.topics[topic]), 0) | self.trimmed

    async def create(self, topic: str, partitions: int) -> None:
        self.step()
        self.created_unheld |= not {"gateway", "host"} <= self.held
        self.topics.setdefault(topic, partitions)

    async def delete(self, topic: str) -> None:
        self.step()
        self.deleted_unheld |= not {"gateway", "host"} <= self.held
        self.topics.pop(topic, None)

    async def close(self) -> None:
        raise NotImplementedError

    # Crew
    def lives(self) -> dict[str, str]:
        return dict(self.writer_lives)

    async def hold(self, role: str) -> bool:
        self.step()
        self.held.add(role)
        return True

    async def release(self) -> None:
        self.step()
        self.held.clear()

    async def drained(self, role: str) -> bool:
        if self.restart_while_draining:
            self.writer_lives["gateway-1"] = "b"
        return not (role == "router" and not self.full)

    async def publish(self) -> None:
        self.step()


def keeper(world: World) -> LogKeeper:
    return LogKeeper(world, world, SHARDS, world, lambda: world.now_ms)


async def installed() -> World:
    world = World()
    await keeper(world).open()
    world.states = {shard: LogState(shard, FIRST_BASE, 100 + shard) for shard in range(SHARDS)}
    return world


async def test_the_first_start_makes_topics_and_bases() -> None:
    world = World()
    log = keeper(world)
    await log.open()
    assert log.bases == (FIRST_BASE,) * SHARDS
    assert world.topics == {"mailbox": SHARDS, "push": SHARDS, "mailbox.dead": 1, "push.dead": 1}


async def test_a_second_start_changes_nothing() -> None:
    world = await installed()
    before = dict(world.states)
    await keeper(world).open()
    assert world.states == before


async def test_a_log_that_is_gone_begins_beyond_everything_stored() -> None:
    world = await installed()
    world.topics.clear()
    log = keeper(world)
    await log.open()
    assert log.bases == tuple(FIRST_BASE + 100 + shard + BASE_STEP for shard in range(SHARDS))
    assert {state.stored for state in world.states.values()} == {0}
    assert world.topics["mailbox"] == SHARDS


@pytest.mark.parametrize("starts", [1, 3])
async def test_a_copy_of_the_store_that_is_put_back_gives_no_number_again(starts: int) -> None:
    world = await installed()
    world.now_ms = IN_2026
    copy = dict(world.states)
    given: list[int] = []
    for _ in range(starts):
        world.topics.clear()
        log = keeper(world)
        await log.open()
        given += [base + 10_000_000 for base in log.bases]  # what is sent in an hour
        world.now_ms += HOUR_MS
    world.states = copy
    world.topics.clear()
    log = keeper(world)
    await log.open()
    assert min(log.bases) > max(given)


async def test_a_clock_that_is_far_ahead_is_not_followed() -> None:
    world = await installed()
    world.now_ms = 2**53
    world.topics.clear()
    log = keeper(world)
    await log.open()
    assert log.bases[0] == FIRST_BASE + 100 + BASE_STEP


@pytest.mark.parametrize(("states", "partitions"), [(SHARDS, 5), (2, SHARDS)])
async def test_another_number_of_shards_is_refused(states: int, partitions: int) -> None:
    world = World(
        states={shard: LogState(shard, 1, 0) for shard in range(states)}, topics={"mailbox": partitions}
    )
    with pytest.raises(LogRefused, match="ROOST_SHARDS="):
        await keeper(world).open()


async def test_renewal_holds_writers_until_the_new_log_is_there() -> None:
    world = await installed()
    log = keeper(world)
    await log.open()
    assert await log.renew()
    assert not world.deleted_unheld
    assert not world.held
    assert world.phase_now == ""
    assert log.bases[0] > FIRST_BASE + 100


@pytest.mark.parametrize("gone", [False, True])
async def test_nobody_is_shown_a_base_before_its_log_is_there(
    *, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that took the new base early would read the old topic's records and ends under it."""
    world = await installed()
    log = keeper(world)
    await log.open()
    before = log.bases
    shown: list[tuple[int, ...]] = []
    step = world.step

    def look() -> None:
        step()
        if world.topics.get("mailbox") is None:
            shown.append(log.bases)

    monkeypatch.setattr(world, "step", look)
    if gone:
        world.topics.clear()
        await log.lost()
    else:
        assert await log.renew()
    assert set(shown) == {before}
    assert min(log.bases) > max(before)


async def test_no_renewal_while_a_writer_restarted() -> None:
    world = await installed()
    log = keeper(world)
    await log.open()
    world.restart_while_draining = True
    before = dict(world.states)
    assert not await log.renew()
    assert (world.states, world.held) == (before, set())


async def test_a_lost_shard_raises_its_own_base_only() -> None:
    world = await installed()
    log = keeper(world)
    await log.open()
    await log.lost([1])
    assert log.bases[0] == FIRST_BASE
    assert log.bases[1] == FIRST_BASE + 101 + BASE_STEP


async def test_a_log_that_dropped_what_was_not_stored_is_read_from_what_is_left_and_it_is_said() -> None:
    world = await installed()
    log = keeper(world)
    await log.open()
    world.trimmed = {1: 150}
    await log.lost([1, 2])
    raised = [FIRST_BASE + 100 + shard + BASE_STEP for shard in range(SHARDS)]
    assert world.states[1] == LogState(1, raised[1], 150)
    assert world.states[2] == LogState(2, raised[2], 0)
    assert log.dropped == {1: 150 - 101}
    world.trimmed = {1: 170}
    await log.lost([1])
    assert world.states[1] == LogState(1, raised[1] + 150 + BASE_STEP, 170)
    assert log.dropped == {1: 170 - 101}


async def test_nobody_writes_from_the_loss_of_the_log_until_the_new_one_is_there() -> None:
    world = await installed()
    log = keeper(world)
    await log.open()
    world.created_unheld = False
    await log.away()
    assert (world.held, log.holding) == ({"gateway", "host"}, True)
    world.topics.clear()
    await log.lost()
    assert world.topics["mailbox"] == SHARDS
    assert not world.created_unheld
    assert (world.held, log.holding) == (set(), False)
    assert log.bases == tuple(FIRST_BASE + 100 + shard + BASE_STEP for shard in range(SHARDS))


async def test_a_crash_at_any_step_of_a_renewal_is_made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it ends, the next coordinator finds or makes a whole log, with no number given twice."""
    monkeypatch.setattr(log_keeper, "_DRAIN_S", 60.0)  # a busy machine must not end a renewal early
    steps_of_all = 0
    for crash_at in range(100):
        world = await installed()
        log = keeper(world)
        await log.open()
        world.steps, world.crash_at = 0, crash_at
        try:
            await log.renew()
        except Crash:
            pass
        else:
            steps_of_all = crash_at
            break
        world.crash_at = None
        fresh_topic = "mailbox" not in world.topics or world.phase_now != ""
        following = keeper(world)
        await following.open()
        assert world.topics == {"mailbox": SHARDS, "push": SHARDS, "mailbox.dead": 1, "push.dead": 1}
        assert world.phase_now == ""
        assert not world.deleted_unheld
        if fresh_topic:
            assert all(base > FIRST_BASE + 100 for base in following.bases), crash_at
    assert steps_of_all > 8


async def test_a_server_that_is_away_in_the_middle_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await installed()
    log = keeper(world)
    await log.open()
    failures = 2
    create = world.create

    async def fail_at_first(topic: str, partitions: int) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            assert {"gateway", "host"} <= world.held
            raise Unavailable("Kafka is away.")
        await create(topic, partitions)

    monkeypatch.setattr(world, "create", fail_at_first)
    monkeypatch.setattr("cluster.log_keeper._LOOK_EVERY_S", 0.0)
    assert await log.renew()
    assert world.topics["mailbox"] == SHARDS
    assert not world.held
