"""The log lifecycle over a small world in memory that can crash at any step."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from cluster.log import lifecycle as log_lifecycle
from cluster.log.growth import NotGrown
from cluster.log.lifecycle import LogLifecycle
from cluster.log.numbers import BASE_STEP, FIRST_BASE
from cluster.log.topics import LogMismatch, LogTopics
from roost.errors import Unavailable
from storage.cluster_rows import LogState
from storage.topics import PUSH, PUSHERS

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
    growing: int = 0
    grows: bool = True
    topics: dict[str, int] = field(default_factory=dict)
    trimmed: dict[int, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    full: bool = True
    behind: int = 0
    writer_lives: dict[str, str] = field(default_factory=lambda: {"gateway-1": "a", "host-1": "a"})
    restart_while_draining: bool = False
    steps: int = 0
    crash_at: int | None = None
    deleted_unpaused: bool = False
    created_unpaused: bool = False
    released_by: int = 0
    log: LogLifecycle | None = None
    map_shards: int = 0
    ended: dict[int, int] = field(default_factory=dict)
    shown_then: tuple[int, ...] = ()
    undrawn: int = 0
    now_ms: int = 0
    push_logs: int = 0
    pushers_begin_in: int = 0

    def step(self) -> None:
        if self.crash_at is not None and self.steps >= self.crash_at:
            raise Crash
        self.steps += 1

    # ClusterState, as far as the log is concerned
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

    async def growth(self) -> int:
        return self.growing

    async def put_growth(self, shards: int) -> None:
        self.step()
        self.growing = shards

    # LogAdmin
    async def partitions(self, topic: str) -> int | None:
        return self.topics.get(topic)

    async def starts(self, topic: str) -> dict[int, int]:
        return dict.fromkeys(range(self.topics[topic]), 0) | self.trimmed

    async def create(self, topic: str, partitions: int) -> None:
        self.step()
        self.created_unpaused |= not {"gateway", "host"} <= self.paused
        self.push_logs += topic == PUSH and topic not in self.topics
        self.topics.setdefault(topic, partitions)

    async def commit_starts(self, topic: str, group: str) -> None:
        self.step()
        assert (topic, group) == (PUSH, PUSHERS)
        self.pushers_begin_in = self.push_logs

    async def ends(self, topic: str) -> dict[int, int]:
        behind, self.behind = self.behind, max(0, self.behind - 1)
        left = 7 if behind or not self.full else 0
        return {
            shard: state.stored + (0 if shard else left) for shard, state in self.states.items()
        } | dict.fromkeys(range(len(self.states), self.topics[topic]), 0)

    async def grow(self, topic: str, partitions: int, *, only_ask: bool = False) -> bool:
        if not only_ask:
            self.step()
            assert self.topics[topic] <= partitions
            self.topics[topic] = partitions
        return self.grows

    async def delete(self, topic: str) -> None:
        self.step()
        self.deleted_unpaused |= not {"gateway", "host"} <= self.paused
        self.topics.pop(topic, None)

    # Roles
    def incarnations(self) -> dict[str, str]:
        return dict(self.writer_lives)

    async def pause_writes(self, role: str) -> bool:
        self.step()
        self.paused.add(role)
        return True

    async def resume_writes(self) -> None:
        self.step()
        self.paused.clear()
        self.released_by = self.map_shards

    async def caught_up(self, role: str) -> bool:
        if self.restart_while_draining:
            self.writer_lives["gateway-1"] = "b"
        return not (role == "router" and not self.full)

    async def end_logs(self, bases: Mapping[int, int]) -> None:
        self.step()
        self.ended = dict(bases)
        self.shown_then = self.log.topics.bases if self.log is not None else ()

    async def publish(self) -> None:
        self.step()
        if self.undrawn:
            self.undrawn -= 1
        elif self.log is not None:
            self.map_shards = len(self.log.topics.bases)

    @property
    def shards(self) -> int:
        return self.map_shards


def lifecycle(world: World, shards: int = SHARDS) -> LogLifecycle:
    world.log = LogLifecycle(LogTopics(world, world, shards, lambda: world.now_ms), world)
    return world.log


async def installed() -> World:
    world = World()
    await lifecycle(world).open()
    pushes = world.states[0].pushes
    world.states = {shard: LogState(shard, FIRST_BASE, 100 + shard, pushes) for shard in range(SHARDS)}
    return world


async def test_the_first_start_makes_topics_and_bases() -> None:
    world = World()
    log = lifecycle(world)
    await log.open()
    assert log.topics.bases == (FIRST_BASE,) * SHARDS
    assert world.topics == {"mailbox": SHARDS, "push": SHARDS, "mailbox.dead": 1, "push.dead": 1}
    assert world.pushers_begin_in == 0, "no group has committed anything yet"


async def test_a_second_start_changes_nothing() -> None:
    world = await installed()
    before = dict(world.states)
    await lifecycle(world).open()
    assert world.states == before


async def test_a_replaced_log_starts_above_everything_stored() -> None:
    world = await installed()
    world.topics.clear()
    log = lifecycle(world)
    await log.open()
    assert log.topics.bases == tuple(FIRST_BASE + 100 + shard + BASE_STEP for shard in range(SHARDS))
    assert {state.stored for state in world.states.values()} == {0}
    assert world.topics["mailbox"] == SHARDS
    assert world.pushers_begin_in == world.push_logs == 2


@pytest.mark.parametrize("starts", [1, 3])
async def test_a_restored_copy_of_the_store_gives_out_no_number_twice(starts: int) -> None:
    world = await installed()
    world.now_ms = IN_2026
    copy = dict(world.states)
    given: list[int] = []
    for _ in range(starts):
        world.topics.clear()
        log = lifecycle(world)
        await log.open()
        given += [base + 10_000_000 for base in log.topics.bases]  # what is sent in an hour
        world.now_ms += HOUR_MS
    world.states = copy
    world.topics.clear()
    log = lifecycle(world)
    await log.open()
    assert min(log.topics.bases) > max(given)


async def test_a_clock_that_is_far_ahead_is_not_followed() -> None:
    world = await installed()
    world.now_ms = 2**53
    world.topics.clear()
    log = lifecycle(world)
    await log.open()
    assert log.topics.bases[0] == FIRST_BASE + 100 + BASE_STEP


@pytest.mark.parametrize(
    ("rows", "partitions", "said"),
    [
        (range(SHARDS), 5, "Use the Kafka cluster that this installation was made with"),
        (range(2), SHARDS, "has 3 partitions, and there must be one for each of the 2 shards"),
        (range(0), 5, "ROOST_SHARDS=5"),
        ((0, 2), 2, "without a gap"),
    ],
)
async def test_a_log_of_another_number_of_shards_is_refused(
    rows: Sequence[int], partitions: int, said: str
) -> None:
    world = World(states={shard: LogState(shard, 1, 0) for shard in rows}, topics={"mailbox": partitions})
    with pytest.raises(LogMismatch, match=said):
        await lifecycle(world).open()
    assert world.growing == 0


@pytest.mark.parametrize("setting", [1, 2, 16])
async def test_at_a_later_start_what_is_stored_counts(setting: int) -> None:
    world = await installed()
    before = dict(world.states)
    log = lifecycle(world, setting)
    await log.open()
    assert (log.topics.shards, len(log.topics.bases), world.states) == (SHARDS, SHARDS, before)


async def test_a_renewal_pauses_writers_until_the_new_log_exists() -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    assert await log.renew()
    assert not world.deleted_unpaused
    assert not world.paused
    assert world.phase_now == ""
    assert log.topics.bases[0] > FIRST_BASE + 100


@pytest.mark.parametrize("gone", [False, True])
async def test_no_role_sees_a_base_before_its_log_exists(
    *, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that took the new base early would read the old topic's records and ends under it."""
    world = await installed()
    log = lifecycle(world)
    await log.open()
    before = log.topics.bases
    shown: list[tuple[int, ...]] = []
    step = world.step

    def look() -> None:
        step()
        if world.topics.get("mailbox") is None:
            shown.append(log.topics.bases)

    monkeypatch.setattr(world, "step", look)
    if gone:
        world.topics.clear()
        await log.lost()
    else:
        assert await log.renew()
    assert set(shown) == {before}
    assert min(log.topics.bases) > max(before)


async def test_no_renewal_while_a_writer_restarted() -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    world.restart_while_draining = True
    before = dict(world.states)
    assert not await log.renew()
    assert (world.states, world.paused) == (before, set())


async def test_a_lost_shard_raises_its_own_base_only() -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    await log.lost([1])
    assert log.topics.bases[0] == FIRST_BASE
    assert log.topics.bases[1] == FIRST_BASE + 101 + BASE_STEP


async def test_hosts_finish_a_lost_log_before_any_role_sees_the_next_base() -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    await log.lost([1])
    assert world.ended == {1: log.topics.bases[1]}
    assert world.shown_then == (FIRST_BASE,) * SHARDS


async def test_a_log_that_dropped_unstored_records_is_read_from_what_remains_and_the_loss_is_reported() -> (
    None
):
    world = await installed()
    log = lifecycle(world)
    await log.open()
    world.trimmed = {1: 150}
    await log.lost([1, 2])
    raised = [FIRST_BASE + 100 + shard + BASE_STEP for shard in range(SHARDS)]
    assert world.states[1] == LogState(1, raised[1], 150, 1, before=((1, 102),))
    assert world.states[2] == LogState(2, raised[2], 0, 1, before=((1, 103),))
    assert log.topics.dropped == {1: 150 - 101}
    world.trimmed = {1: 170}
    await log.lost([1])
    assert (world.states[1].base, world.states[1].stored) == (raised[1] + 150 + BASE_STEP, 170)
    assert log.topics.dropped == {1: 170 - 101}


async def test_no_role_writes_between_the_loss_of_the_log_and_its_replacement() -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    world.created_unpaused = False
    await log.away()
    assert (world.paused, log.paused) == ({"gateway", "host"}, True)
    world.topics.clear()
    await log.lost()
    assert world.topics["mailbox"] == SHARDS
    assert not world.created_unpaused
    assert (world.paused, log.paused) == (set(), False)
    assert log.topics.bases == tuple(FIRST_BASE + 100 + shard + BASE_STEP for shard in range(SHARDS))


async def test_a_crash_at_any_step_of_a_renewal_is_recovered_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it ends, the next coordinator finds or makes a whole log, with no number given twice."""
    monkeypatch.setattr(log_lifecycle, "_DRAIN_S", 60.0)  # a busy machine must not end a renewal early
    steps_of_all = 0
    for crash_at in range(100):
        world = await installed()
        log = lifecycle(world)
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
        following = lifecycle(world)
        await following.open()
        assert world.topics == {"mailbox": SHARDS, "push": SHARDS, "mailbox.dead": 1, "push.dead": 1}
        assert world.phase_now == ""
        assert not world.deleted_unpaused
        assert world.pushers_begin_in == (world.push_logs if world.push_logs > 1 else 0)
        if fresh_topic:
            assert all(base > FIRST_BASE + 100 for base in following.topics.bases), crash_at
    assert steps_of_all > 8


async def test_a_server_that_disappears_midway_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    failures = 2
    create = world.create

    async def fail_at_first(topic: str, partitions: int) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            assert {"gateway", "host"} <= world.paused
            raise Unavailable("Kafka is away.")
        await create(topic, partitions)

    monkeypatch.setattr(world, "create", fail_at_first)
    monkeypatch.setattr("cluster.log.lifecycle._LOOK_EVERY_S", 0.0)
    assert await log.renew()
    assert world.topics["mailbox"] == SHARDS
    assert not world.paused


# --- more shards ----------------------------------------------------------------------------------


def whole(world: World, shards: int) -> bool:
    """Return whether there are so many shards, and nothing is half done."""
    topics = {"mailbox": shards, "push": shards, "mailbox.dead": 1, "push.dead": 1}
    return (sorted(world.states), world.topics, world.growing) == (list(range(shards)), topics, 0)


async def test_new_shards_begin_above_everything_that_was_given_out() -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    before = dict(world.states)
    stages: list[str] = []
    await log.grow(4 * SHARDS, stages.append)
    assert whole(world, 4 * SHARDS)
    assert {shard: world.states[shard] for shard in before} == before, "what was there goes on as it was"
    beyond = max(state.base + state.stored for state in before.values()) + BASE_STEP
    assert all(log.topics.bases[shard] >= beyond for shard in range(SHARDS, 4 * SHARDS))
    assert not world.deleted_unpaused
    assert (world.paused, world.map_shards, world.released_by) == (set(), 4 * SHARDS, 4 * SHARDS)
    assert stages[1] == f"making {3 * SHARDS} shards"


async def test_a_crash_at_any_step_of_a_growth_leaves_it_before_or_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_lifecycle, "_GROWTH_DRAIN_S", 60.0)  # a busy machine must not end it early
    outcomes = set()
    steps_of_all = 0
    for crash_at in range(100):
        world = await installed()
        log = lifecycle(world)
        await log.open()
        world.map_shards = SHARDS
        before = dict(world.states)
        world.steps, world.crash_at = 0, crash_at
        try:
            await log.grow(2 * SHARDS, lambda _: None)
        except Crash:
            pass
        else:
            steps_of_all = crash_at
            break
        begun = world.growing or len(world.states) > SHARDS
        assert not begun or world.paused or world.map_shards == 2 * SHARDS, "no role writes by the old number"
        world.crash_at = None
        following = lifecycle(world)
        await following.open()
        assert whole(world, following.topics.shards), crash_at
        assert following.topics.shards == (2 * SHARDS if begun else SHARDS), crash_at
        assert {shard: world.states[shard] for shard in before} == before
        assert not world.deleted_unpaused
        outcomes.add(following.topics.shards)
    assert steps_of_all > 8
    assert outcomes == {SHARDS, 2 * SHARDS}


async def test_a_failure_after_the_decision_resumes_no_writer_with_the_old_shard_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even if the coordinator is told to stop: the next one finishes it."""
    world = await installed()
    log = lifecycle(world)
    await log.open()

    async def cancelled(topic: str, partitions: int, *, only_ask: bool = False) -> bool:
        if not only_ask:
            raise asyncio.CancelledError
        return bool(topic and partitions)

    monkeypatch.setattr(world, "grow", cancelled)
    with pytest.raises(asyncio.CancelledError):
        await log.grow(2 * SHARDS, lambda _: None)
    assert (world.paused, log.paused) == ({"gateway", "host"}, True)


async def test_no_writer_resumes_before_the_new_map_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.log.lifecycle._LOOK_EVERY_S", 0.0)
    world = await installed()
    log = lifecycle(world)
    await log.open()
    world.map_shards, world.undrawn = SHARDS, 3
    await log.grow(2 * SHARDS, lambda _: None)
    assert world.released_by == 2 * SHARDS


async def test_unstored_records_are_reported_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lifecycle, "_GROWTH_DRAIN_S", 0.05)
    world = await installed()
    log = lifecycle(world)
    await log.open()
    before, world.full = dict(world.states), False
    with pytest.raises(
        NotGrown, match=r"Nothing was .* 7 accepted records are not stored \(7 of shard 0\)\."
    ):
        await log.grow(2 * SHARDS, lambda _: None)
    assert (world.states, world.paused, log.paused) == (before, set(), False)
    assert whole(world, SHARDS)
    world.full, world.restart_while_draining = True, True
    with pytest.raises(NotGrown, match="restarted meanwhile"):
        await log.grow(2 * SHARDS, lambda _: None)
    assert (world.states, world.paused) == (before, set())


async def test_shards_are_added_when_the_store_says_that_all_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a router has stored and not written down yet would be read again, on a shard of other users."""
    monkeypatch.setattr("cluster.log.lifecycle._LOOK_EVERY_S", 0.0)
    world = await installed()
    log = lifecycle(world)
    await log.open()
    world.behind = 3
    await log.grow(2 * SHARDS, lambda _: None)
    assert world.behind == 0
    assert whole(world, 2 * SHARDS)


async def test_a_broker_that_cannot_add_partitions_is_detected_before_any_role_is_paused() -> None:
    world = await installed()
    log = lifecycle(world)
    await log.open()
    world.grows, world.steps = False, 0
    with pytest.raises(NotGrown, match="make setup"):
        await log.grow(2 * SHARDS, lambda _: None)
    assert world.steps == 0


@pytest.mark.parametrize("rows", [0, 1, SHARDS])
async def test_a_first_start_that_ended_in_the_middle_is_finished(rows: int) -> None:
    """Without the number that was written down, the rows that are there would count as all of them."""
    world = World(states={shard: LogState(shard, FIRST_BASE, 0) for shard in range(rows)}, growing=SHARDS)
    log = lifecycle(world, 1)
    await log.open()
    assert whole(world, SHARDS)
    assert log.topics.shards == SHARDS


async def test_a_growth_of_a_log_that_is_gone_is_finished() -> None:
    world = await installed()
    world.growing = 2 * SHARDS
    world.topics.clear()
    log = lifecycle(world)
    await log.open()
    assert whole(world, 2 * SHARDS)
    assert min(log.topics.bases) > FIRST_BASE + 100
