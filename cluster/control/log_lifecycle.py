"""The life of the log: made at the start, made anew when it is full (embedded) or lost, given more shards.

Only the coordinator's process runs this. Every step can be the last one before a crash: whoever comes
next finds in MongoDB what was about to happen, and does it again. No sequence number is given twice,
because a new base (`cluster.control.log_numbers`) is stored before the new log takes its first record.
Long, because every step that a crash may interrupt is taken here, under one lock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol, Self

import structlog
from msgspec.structs import replace

from cluster.control.growth import CANNOT, NotGrown, not_stored
from cluster.control.log_numbers import added, raised
from roost.clock import Clock
from roost.errors import Unavailable
from storage.ports import ClusterState, LogAdmin
from storage.records import LogState
from storage.topics import DEAD, MAILBOX, PUSH, TOPICS
from telemetry import metrics

RECREATING: Final = "recreating"

_DRAIN_S: Final = 4.0
"""For all of the draining: less than the 10 s after which a held message is refused.

The embedded broker now and then shows its newest batch only when the next one is written. While everybody
is held it never does, so waiting longer does not help; the renewal is tried again later.
"""

_GROWTH_DRAIN_S: Final = 10.0
"""The same before shards are added: an operator waits for it, and senders are told when to come again."""

_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class LogMismatch(Exception):  # noqa: N818 -- named for what happened
    """The topics or the stored state do not fit the settings; the sentence says what to do."""


class LogClients(Protocol):
    """The living roles, as the log lifecycle needs them."""

    def lives(self) -> dict[str, str]:
        """Return the incarnation of every writer, by name."""
        ...

    async def pause_writes(self, role: str) -> bool:
        """Hold every writer of the role; False if one did not answer."""
        ...

    async def resume_writes(self) -> None:
        """Let every writer go on that answers."""
        ...

    async def caught_up(self, role: str) -> bool:
        """Say whether every reader of the role has finished all that is in its log."""
        ...

    async def end_logs(self, bases: Mapping[int, int]) -> None:
        """Have hosts store what they have of the logs before; returns when those who answer have."""
        ...

    async def publish(self) -> None:
        """Show everybody the new bases, and return when they have them."""
        ...

    @property
    def shards(self) -> int:
        """Number of shards of the map that everybody is shown."""
        ...


class LogLifecycle:
    """Keeps topics and bases.

    Args:
        store: What is remembered.
        admin: Makes topics.
        shards: How many there are to be at the first start; later what is stored counts.
        clients: The roles that write and read it.
        clock: Unix milliseconds.

    Attributes:
        shards: How many there are.
        states: The state of every shard's log, by shard, as it is in the store.
        bases: The base of each shard, for everybody to see. One whose topic is still being made is in the
            store only: who read the old topic under it would hand its records on as new ones, and take its
            ends for the new log's.
        pushes: The life of each shard's wake-ups, likewise.
        paused: Writers are paused right now: a role that comes to life must be held, too.
        dropped: Records that the log forgot before they were known to be stored, by shard.
    """

    def __init__(
        self, store: ClusterState, admin: LogAdmin, shards: int, clients: LogClients, clock: Clock
    ) -> None:
        self._store, self._admin, self._first, self._clients = store, admin, shards, clients
        self.shards = shards
        self._clock = clock
        self._lock = asyncio.Lock()
        self.states: dict[int, LogState] = {}
        self.bases: tuple[int, ...] = ()
        self.pushes: tuple[int, ...] = ()
        self.paused = False
        self.dropped: dict[int, int] = {}

    async def open(self) -> None:
        """Find the log, or make it; finish what a coordinator before us began.

        Raises:
            LogMismatch: The topics or the stored state do not fit the settings.
            Unavailable: A server is away; nothing is half done that a second call would not finish.
        """
        async with self._lock:
            self.states = await self._store.log_states()
            found = await self._admin.partitions(MAILBOX)
            growing = await self._store.growth()
            shards = growing or len(self.states) or self._first
            self._check(found, shards, growing=bool(growing))
            known = bool(self.states)
            if growing or not known:
                await self._extend(shards)
            self.shards = shards
            if known and (found is None or await self._store.phase() == RECREATING):
                await self._remake([MAILBOX, PUSH], "lost" if found is None else "unfinished")
            await self._create_missing()
            if growing or not known:
                await self._store.put_growth(0)
            self._show_bases()

    async def renew(self) -> bool:
        """Make the log anew after everything in it was stored; False if that did not come about in time."""
        async with self._lock, _WritesPaused(self):
            lives = self._clients.lives()
            deadline = asyncio.get_running_loop().time() + _DRAIN_S
            if reason := await self._drain(deadline):
                log.info("log_renewal_postponed", reason=reason)
                return False
            pushed = await self._until(deadline, lambda: self._clients.caught_up("pusher"))
            topics = [MAILBOX, PUSH] if pushed else [MAILBOX]
            if self._clients.lives() != lives:
                log.info("log_renewal_postponed", reason="a writer restarted meanwhile")
                return False
            await self._store.put_phase(RECREATING)
            # From here on nobody may write before the new topics are there: what went into the old ones
            # would be deleted. So this is tried until it is done, with everybody held.
            await self._insist(lambda: self._remake(topics, "full"))
            self._show_bases()
            await self._clients.publish()
            return True

    async def grow(self, shards: int, tell: Callable[[str], None]) -> None:
        """Add shards after everything in the log was stored; what is in the present ones stays where it is.

        Once it is written down it is finished, whatever happens: by the next coordinator if need be. Nobody
        writes before, since the number of shards says where a user's records belong.

        Args:
            shards: The number there is to be, as `cluster.control.growth.refusal` allows it.
            tell: Takes what is being done.

        Raises:
            NotGrown: Nothing was changed.
        """
        async with self._lock:
            for topic in TOPICS:
                if not await self._admin.grow(topic, shards, only_ask=True):
                    raise NotGrown(CANNOT)
            async with _WritesPaused(self) as held:
                tell("holding what is sent, until everything in the log is stored")
                await self._stored_or_not_grown()
                tell(f"making {shards - self.shards} shards")
                held.whatever_happens = False
                await self._insist(lambda: self._extend(shards))
                await self._insist(lambda: self._store.put_growth(0))
                self.shards = shards
                self._show_bases()
                tell("showing everybody the new map")
                await self._insist(self._shown)

    async def away(self) -> None:
        """Hold everybody, because the log's server is gone and will be back empty; `lost` lets them go on.

        The embedded broker shows a topic before it has finished making it. What is written in between it
        confirms and then loses, or hides behind what comes later.
        """
        self.paused = True
        await asyncio.gather(*(self._clients.pause_writes(role) for role in ("gateway", "host")))

    async def lost(self, shards: Iterable[int] = ()) -> None:
        """The log, or these shards of it, begins anew: raise the bases, make topics that are gone.

        If it is there, nobody is held: a gateway that sees offsets go backwards reads the base by itself.
        A shard whose first records are not there any more is read from what is left. Its base rises as well,
        so that who sent something with a number below is told that nobody knows it, and sends it again.
        """
        async with self._lock:
            gone = await self._admin.partitions(MAILBOX) is None
            if gone:
                await self.away()
            affected = set(range(self.shards)) if gone else set(shards)
            if affected:
                log.error("log_lost", shards=sorted(affected))
                metrics.LOG_RECREATIONS.labels("lost").inc()
                starts = {} if gone else await self._admin.starts(MAILBOX)
                if gone:
                    await self._store.put_phase(RECREATING)
                self.states = await self._store.log_states()
                for shard in sorted(affected):
                    self._note_dropped(self.states[shard], starts.get(shard, 0))
                await self._put(self._raised(s, starts.get(s, 0)) for s in sorted(affected))
                await self._clients.end_logs({shard: self.states[shard].base for shard in affected})
            await self._create_missing()
            if gone:
                await self._store.put_phase("")
            self._show_bases()
            await self._clients.publish()
            if self.paused:
                self.paused = False
                await self._clients.resume_writes()

    # --- steps ------------------------------------------------------------------------------------

    async def _drain(self, deadline: float) -> str:
        """Hold gateways, let hosts write the receipts and wake-ups that follow, then hold them, too.

        Returns:
            Why it did not come about, '' if it did.
        """
        for role in ("gateway", "host"):
            if not await self._clients.pause_writes(role):
                return f"a {role} does not answer"
            if not await self._until(deadline, lambda: self._clients.caught_up("router")):
                return "it does not run empty"
        return ""

    async def _stored_or_not_grown(self) -> None:
        """Hold all who write until everything is stored, and until that is what is known of it.

        A router begins again at the offset in MongoDB, which is up to a second behind. What it read once more
        would be on a shard that is no longer its recipient's.
        """
        lives = self._clients.lives()
        deadline = asyncio.get_running_loop().time() + _GROWTH_DRAIN_S
        reason = await self._drain(deadline)
        if not reason and not await self._until(deadline, self._nothing_left):
            reason = "MongoDB does not say so"
        if not reason and self._clients.lives() != lives:
            reason = "a gateway or host restarted meanwhile"
        if reason:
            left = await self._left()
            log.warning("shards_not_added", reason=reason, left=left)
            raise NotGrown(not_stored(_GROWTH_DRAIN_S, reason, left))

    async def _nothing_left(self) -> bool:
        return not await self._left()

    async def _left(self) -> dict[int, int]:
        """Return how many records of each shard are not known to be stored, where there are any."""
        states, ends = await self._store.log_states(), await self._admin.ends(MAILBOX)
        left = {shard: ends[shard] - state.stored for shard, state in states.items()}
        return {shard: count for shard, count in left.items() if count > 0}

    async def _extend(self, shards: int) -> None:
        """Make those that are missing of so many shards: write that down, then rows, then partitions."""
        await self._store.put_growth(shards)
        self.states = await self._store.log_states()
        await self._put(added(self.states, shards, self._clock()))
        for topic in TOPICS:
            found = await self._admin.partitions(topic)
            if found is not None and not await self._admin.grow(topic, shards):
                raise Unavailable(f"The topic {topic} has {found} partitions, and this broker adds none.")

    async def _shown(self) -> None:
        await self._clients.publish()
        if self._clients.shards != self.shards:
            raise Unavailable("The new map could not be drawn yet.")

    def _note_dropped(self, state: LogState, start: int) -> None:
        """Tell of records that the log forgot before they were stored: its retention is too short."""
        if start > state.stored:
            count = start - state.stored
            self.dropped[state.shard] = self.dropped.get(state.shard, 0) + count
            metrics.LOG_DROPPED_RECORDS.inc(count)
            log.error(
                "log_dropped_records", shard=state.shard, records=count, stored=state.stored, start=start
            )

    async def _remake(self, topics: list[str], reason: str) -> None:
        log.warning("log_recreated", topics=topics, reason=reason)
        metrics.LOG_RECREATIONS.labels(reason).inc()
        self.states = await self._store.log_states()
        await self._store.put_phase(RECREATING)
        await self._put(self._raised(shard) for shard in sorted(self.states))
        for topic in topics:
            await self._admin.delete(topic)
        await self._create_missing()
        await self._store.put_phase("")

    async def _begin_pushes_anew(self) -> None:
        lives = {shard: max(state.base, state.pushes + 1) for shard, state in self.states.items()}
        await self._put(replace(state, pushes=lives[shard]) for shard, state in self.states.items())

    async def _create_missing(self) -> None:
        if self.states and await self._admin.partitions(PUSH) is None:
            await self._begin_pushes_anew()
        for topic, partitions in (
            (MAILBOX, self.shards),
            (PUSH, self.shards),
            *((name, 1) for name in DEAD),
        ):
            if await self._admin.partitions(topic) is None:
                await self._admin.create(topic, partitions)

    def _show_bases(self) -> None:
        self.bases = tuple(self.states[shard].base for shard in range(self.shards))
        self.pushes = tuple(self.states[shard].pushes for shard in range(self.shards))

    def _raised(self, shard: int, start: int = 0) -> LogState:
        """Return the state of a shard whose log begins anew at the offset ``start``."""
        return raised(self.states[shard], start, self._clock())

    async def _put(self, states: Iterable[LogState]) -> None:
        changed = list(states)
        await self._store.put_log_states(changed)
        self.states |= {state.shard: state for state in changed}

    async def _insist(self, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await call()
            except Unavailable as exc:
                log.warning("log_renewal_delayed", reason=exc.detail)
                await asyncio.sleep(_LOOK_EVERY_S * 5)

    async def _until(self, deadline: float, condition: Callable[[], Awaitable[bool]]) -> bool:
        while not await condition():
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

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


class _WritesPaused:
    """While inside, writers that come to life are held; afterwards everybody goes on, whatever happened.

    Attributes:
        whatever_happens: False: after a failure nobody does; the next coordinator sees to it.
    """

    def __init__(self, log: LogLifecycle) -> None:
        self._log = log
        self.whatever_happens = True

    async def __aenter__(self) -> Self:
        self._log.paused = True
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None and not self.whatever_happens:
            return
        self._log.paused = False
        await self._log._clients.resume_writes()  # noqa: SLF001 -- part of it
