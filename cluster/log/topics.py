"""The log's topics, and the state of each shard in MongoDB: made, remade, extended.

Every step can be the last one before a crash: whoever comes next finds in MongoDB what was about to happen,
and does it again. No sequence number is given twice, because a new base (`cluster.log.numbers`) is stored
before the new log takes its first record.
"""

from collections.abc import Iterable
from typing import Final

import structlog
from msgspec.structs import replace

from cluster.log.growth import CANNOT, NotGrown
from cluster.log.numbers import added, raised
from roost.clock import Clock
from roost.errors import Unavailable
from storage.cluster_rows import LogState
from storage.ports import ClusterState, LogAdmin
from storage.topics import DEAD, MAILBOX, PUSH, PUSHERS, TOPICS
from telemetry import metrics

RECREATING: Final = "recreating"

log = structlog.get_logger()


class LogMismatch(Exception):  # noqa: N818 -- named for what happened
    """The topics or the stored state do not fit the settings; the sentence says what to do."""


class LogTopics:
    """Topics, bases and their places in MongoDB.

    Args:
        store: What is remembered.
        admin: Makes topics.
        shards: Number of shards at the first start; later what is stored counts.
        clock: Unix milliseconds.

    Attributes:
        shards: Number of shards.
        states: The state of every shard's log, by shard, as it is in the store.
        bases: The base of each shard, for every role to see. One whose topic is still being made is in the
            store only: who read the old topic under it would hand its records on as new ones, and take its
            ends for the new log's.
        pushes: The log of each shard's wake-ups, likewise.
        dropped: Records that the log forgot before they were known to be stored, by shard.
    """

    def __init__(self, store: ClusterState, admin: LogAdmin, shards: int, clock: Clock) -> None:
        self._store, self._admin, self._clock = store, admin, clock
        self.shards = shards
        self.states: dict[int, LogState] = {}
        self.bases: tuple[int, ...] = ()
        self.pushes: tuple[int, ...] = ()
        self.dropped: dict[int, int] = {}

    async def open(self) -> None:
        """Find the log, or make it; finish what a coordinator before us began.

        Raises:
            LogMismatch: The topics or the stored state do not fit the settings.
            Unavailable: A server is away; nothing is half done that a second call would not finish.
        """
        self.states = await self._store.log_states()
        found = await self._admin.partitions(MAILBOX)
        growing = await self._store.growth()
        shards = growing or len(self.states) or self.shards
        self._check(found, shards, growing=bool(growing))
        known = bool(self.states)
        if growing or not known:
            await self._add_shards(shards)
        self.shards = shards
        if known and (found is None or await self._store.phase() == RECREATING):
            await self.remake([MAILBOX, PUSH], "lost" if found is None else "unfinished")
        await self._create_missing()
        if growing or not known:
            await self._store.put_growth(0)
        self.show()

    def show(self) -> None:
        """Have every role see the bases that are stored: their topics are there."""
        self.bases = tuple(self.states[shard].base for shard in range(self.shards))
        self.pushes = tuple(self.states[shard].pushes for shard in range(self.shards))

    async def begin_remaking(self) -> None:
        """Write down that topics are about to be remade; from here on that is finished, whoever does it."""
        await self._store.put_phase(RECREATING)

    async def remake(self, topics: list[str], reason: str) -> None:
        """Raise every base, then delete these topics and make them again. Idempotent."""
        log.warning("log_recreated", topics=topics, reason=reason)
        metrics.LOG_RECREATIONS.labels(reason).inc()
        self.states = await self._store.log_states()
        await self._store.put_phase(RECREATING)
        await self._put(self._raised(shard) for shard in sorted(self.states))
        for topic in topics:
            await self._admin.delete(topic)
        await self._create_missing()
        await self._store.put_phase("")

    async def are_gone(self) -> bool:
        """Return whether the topic of the mailboxes is not there."""
        return await self._admin.partitions(MAILBOX) is None

    async def lose(self, shards: Iterable[int], *, gone: bool) -> dict[int, int]:
        """Raise the bases of shards whose log, or the beginning of it, is lost; return the new ones.

        Args:
            shards: Which.
            gone: Their topic is not there; else they are read from what is left.
        """
        affected = sorted(shards)
        log.error("log_lost", shards=affected)
        metrics.LOG_RECREATIONS.labels("lost").inc()
        starts = {} if gone else await self._admin.starts(MAILBOX)
        if gone:
            await self._store.put_phase(RECREATING)
        self.states = await self._store.log_states()
        for shard in affected:
            self._note_dropped(self.states[shard], starts.get(shard, 0))
        await self._put(self._raised(shard, starts.get(shard, 0)) for shard in affected)
        return {shard: self.states[shard].base for shard in affected}

    async def make_good(self, *, gone: bool) -> None:
        """Make the topics that are gone after a loss, and show the bases."""
        await self._create_missing()
        if gone:
            await self._store.put_phase("")
        self.show()

    async def check_growth(self, shards: int) -> None:
        """Raise `NotGrown` unless the broker can add partitions."""
        for topic in TOPICS:
            if not await self._admin.grow(topic, shards, only_ask=True):
                raise NotGrown(CANNOT)

    async def grow(self, shards: int) -> None:
        """Have so many shards. Idempotent; once it is written down it is finished, if need be by another."""
        await self._add_shards(shards)
        await self._store.put_growth(0)
        self.shards = shards

    async def unstored(self) -> dict[int, int]:
        """Return how many records of each shard are not known to be stored, where there are any."""
        states, ends = await self._store.log_states(), await self._admin.ends(MAILBOX)
        left = {shard: ends[shard] - state.stored for shard, state in states.items()}
        return {shard: count for shard, count in left.items() if count > 0}

    async def _add_shards(self, shards: int) -> None:
        """Make those that are missing of so many shards: write that down, then rows, then partitions."""
        await self._store.put_growth(shards)
        self.states = await self._store.log_states()
        await self._put(added(self.states, shards, self._clock()))
        for topic in TOPICS:
            found = await self._admin.partitions(topic)
            if found is not None and not await self._admin.grow(topic, shards):
                raise Unavailable(f"The topic {topic} has {found} partitions, and this broker adds none.")

    async def _create_missing(self) -> None:
        begins_again = False
        if self.states and await self._admin.partitions(PUSH) is None:
            # Their offsets start again: none may be taken for the earlier log's.
            begins_again = any(state.pushes for state in self.states.values())
            lives = {shard: max(state.base, state.pushes + 1) for shard, state in self.states.items()}
            await self._put(replace(state, pushes=lives[shard]) for shard, state in self.states.items())
        for topic, partitions in ((MAILBOX, self.shards), (PUSH, self.shards), *((name, 1) for name in DEAD)):
            if await self._admin.partitions(topic) is None:
                await self._admin.create(topic, partitions)
        if begins_again:  # pushers that knew the earlier log do so themselves, but there may be none left
            await self._admin.commit_starts(PUSH, PUSHERS)

    def _note_dropped(self, state: LogState, start: int) -> None:
        """Tell of records that the log forgot before they were stored: its retention is too short."""
        if start > state.stored:
            count = start - state.stored
            self.dropped[state.shard] = self.dropped.get(state.shard, 0) + count
            metrics.LOG_DROPPED_RECORDS.inc(count)
            log.error(
                "log_dropped_records", shard=state.shard, records=count, stored=state.stored, start=start
            )

    def _raised(self, shard: int, start: int = 0) -> LogState:
        """Return the state of a shard whose log starts over at the offset ``start``."""
        return raised(self.states[shard], start, self._clock())

    async def _put(self, states: Iterable[LogState]) -> None:
        changed = list(states)
        await self._store.put_log_states(changed)
        self.states |= {state.shard: state for state in changed}

    def _check(self, found: int | None, shards: int, *, growing: bool) -> None:
        """Refuse a log of another installation; while shards are added it may have fewer partitions."""
        if not growing and self.states and sorted(self.states) != list(range(shards)):
            raise LogMismatch(
                f"In MongoDB, `log` has the rows {sorted(self.states)}, and they must be numbered from 0 "
                "without a gap. Restore the collection from a backup."
            )
        if found is None or found == shards or (growing and found < shards):
            return
        fix = (
            "Use the Kafka cluster that this installation was made with."
            if self.states
            else f"Set ROOST_SHARDS={found}, or use another Kafka cluster."
        )
        raise LogMismatch(
            f"The topic {MAILBOX} has {found} partitions, and there must be one for each of the {shards} "
            f"shards. {fix}"
        )


async def renumber(store: ClusterState, admin: LogAdmin, clock: Clock) -> bool:
    """Raise the bases of an embedded log that was kept, if everything in it is stored; return whether it was.

    For the start, before there is any role. The data folder may be a restored copy, log and all. What was
    given out after the copy was made is then known to clients only, by their cursors. After an orderly stop
    everything is stored. After a crash it may not be: then the numbers stay, since senders were told them.
    """
    states = await store.log_states()
    if not states or await store.phase() or await admin.partitions(MAILBOX) != len(states):
        return False  # it is made, or remade, by the coordinator
    ends = await admin.ends(MAILBOX)
    unstored = {shard: ends[shard] - state.stored for shard, state in states.items()}
    if any(unstored.values()):
        log.warning("log_continues", unstored=sum(unstored.values()))
        return False
    now_ms = clock()
    await store.put_log_states([raised(state, state.stored, now_ms) for state in states.values()])
    return True
