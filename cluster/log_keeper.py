"""The life of the log: made at the start, made anew when it is full (embedded) or lost.

Only the coordinator's process runs this. Every step can be the last one before a crash: whoever comes
next finds in MongoDB what was about to happen, and does it again. No sequence number is given twice,
because a new base is stored before the first record of the new log can be written, and it is 2**32 past
everything that the old one can have given out. It is never behind the clock either, so that a copy of
MongoDB that was put back does not give out again what was given out since it was made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from roost.clock import Clock
from roost.errors import Unavailable
from storage import metrics
from storage.ports import ClusterState, LogAdmin
from storage.records import LogState

MAILBOX: Final = "mailbox"
PUSH: Final = "push"
DEAD: Final = ("mailbox.dead", "push.dead")

FIRST_BASE: Final = 1
BASE_STEP: Final = 2**32
RECREATING: Final = "recreating"

_CLOCK_BEGAN_MS: Final = 1_767_225_600_000
"""2026-01-01 UTC."""

_NUMBERS_EACH_MS: Final = 2**11
"""More than a shard can give out; a base of 2100 is still far below 2**53."""

_CLOCK_LIMIT: Final = 2**52
"""A clock that says more is wrong, and is not followed: numbers must stay below 2**53."""

_DRAIN_S: Final = 4.0
"""For all of the draining: less than the 10 s after which a held message is refused.

The embedded broker now and then shows its newest batch only when the next one is written. While everybody
is held it never does, so waiting longer does not help; the renewal is tried again later.
"""

_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class LogRefused(Exception):  # noqa: N818 -- named for what happened
    """The topics or the stored state do not fit the settings; the sentence says what to do."""


class Crew(Protocol):
    """The living roles, as the log keeper needs them."""

    def lives(self) -> dict[str, str]:
        """Return the incarnation of every writer, by name."""
        ...

    async def hold(self, role: str) -> bool:
        """Hold every writer of the role; False if one did not answer."""
        ...

    async def release(self) -> None:
        """Let every writer go on that answers."""
        ...

    async def drained(self, role: str) -> bool:
        """Say whether every reader of the role has finished all that is in its log."""
        ...

    async def publish(self) -> None:
        """Show everybody the new bases, and return when they have them."""
        ...


class LogKeeper:
    """Keeps topics and bases.

    Attributes:
        states: The state of every shard's log, by shard, as it is in the store.
        bases: The base of each shard, for everybody to see. One whose topic is still being made is in the
            store only: who read the old topic under it would hand its records on as new ones, and take its
            ends for the new log's.
        pushes: The life of each shard's wake-ups, likewise.
        holding: Writers are held right now: a role that comes to life must be held, too.
        dropped: Records that the log forgot before they were known to be stored, by shard.
    """

    def __init__(self, store: ClusterState, admin: LogAdmin, shards: int, crew: Crew, clock: Clock) -> None:
        self._store, self._admin, self._shards, self._crew = store, admin, shards, crew
        self._clock = clock
        self._lock = asyncio.Lock()
        self.states: dict[int, LogState] = {}
        self.bases: tuple[int, ...] = ()
        self.pushes: tuple[int, ...] = ()
        self.holding = False
        self.dropped: dict[int, int] = {}

    async def open(self) -> None:
        """Find the log, or make it; finish what a coordinator before us began.

        Raises:
            LogRefused: The topics or the stored state do not fit the settings.
            Unavailable: A server is away; nothing is half done that a second call would not finish.
        """
        async with self._lock:
            self.states = await self._store.log_states()
            found = await self._admin.partitions(MAILBOX)
            self._check(found)
            if not self.states:
                await self._put(LogState(shard, FIRST_BASE, 0) for shard in range(self._shards))
            elif found is None or await self._store.phase() == RECREATING:
                await self._remake([MAILBOX, PUSH], "lost" if found is None else "unfinished")
            await self._create_missing()
            self._show_bases()

    async def renew(self) -> bool:
        """Make the log anew after everything in it was stored; False if that did not come about in time."""
        async with self._lock, _Held(self):
            lives = self._crew.lives()
            deadline = asyncio.get_running_loop().time() + _DRAIN_S
            if not await self._drain(deadline):
                return False
            pushed = await self._until(deadline, lambda: self._crew.drained("pusher"))
            topics = [MAILBOX, PUSH] if pushed else [MAILBOX]
            if self._crew.lives() != lives:
                log.info("log_renewal_postponed", reason="a writer restarted meanwhile")
                return False
            await self._store.put_phase(RECREATING)
            # From here on nobody may write before the new topics are there: what went into the old ones
            # would be deleted. So this is tried until it is done, with everybody held.
            await self._insist(lambda: self._remake(topics, "full"))
            self._show_bases()
            await self._crew.publish()
            return True

    async def away(self) -> None:
        """Hold everybody, because the log's server is gone and will be back empty; `lost` lets them go on.

        The embedded broker shows a topic before it has finished making it. What is written in between it
        confirms and then loses, or hides behind what comes later.
        """
        self.holding = True
        await asyncio.gather(*(self._crew.hold(role) for role in ("gateway", "host")))

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
            affected = set(range(self._shards)) if gone else set(shards)
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
            await self._create_missing()
            if gone:
                await self._store.put_phase("")
            self._show_bases()
            await self._crew.publish()
            if self.holding:
                self.holding = False
                await self._crew.release()

    # --- steps ------------------------------------------------------------------------------------

    async def _drain(self, deadline: float) -> bool:
        """Hold gateways, let hosts write the receipts and wake-ups that follow, then hold them, too."""
        for role in ("gateway", "host"):
            if not await self._crew.hold(role):
                log.info("log_renewal_postponed", reason=f"a {role} does not answer")
                return False
            if not await self._until(deadline, lambda: self._crew.drained("router")):
                log.info("log_renewal_postponed", reason="it does not run empty")
                return False
        return True

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
        log.warning("log_made_anew", topics=topics, reason=reason)
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
            (MAILBOX, self._shards),
            (PUSH, self._shards),
            *((name, 1) for name in DEAD),
        ):
            if await self._admin.partitions(topic) is None:
                await self._admin.create(topic, partitions)

    def _show_bases(self) -> None:
        self.bases = tuple(self.states[shard].base for shard in range(self._shards))
        self.pushes = tuple(self.states[shard].pushes for shard in range(self._shards))

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

    def _check(self, found: int | None) -> None:
        if self.states and sorted(self.states) != list(range(self._shards)):
            raise LogRefused(
                f"This installation has {len(self.states)} shards and the setting is {self._shards}. "
                f"The number is fixed at install: set ROOST_SHARDS={len(self.states)}."
            )
        if found not in (None, self._shards):
            raise LogRefused(
                f"The topic {MAILBOX} has {found} partitions and there must be one for each of the "
                f"{self._shards} shards. Set ROOST_SHARDS={found}, or use another Kafka cluster."
            )


def raised(state: LogState, start: int, now_ms: int) -> LogState:
    """Return the state of a shard from whose offset ``start`` on every number is one never given out."""
    by_clock = (now_ms - _CLOCK_BEGAN_MS) * _NUMBERS_EACH_MS
    past = state.base + state.stored + BASE_STEP
    base = max(past, by_clock) if by_clock < _CLOCK_LIMIT else past
    return LogState(state.shard, base, start, state.pushes)


class _Held:
    """While inside, writers that come to life are held; afterwards everybody goes on, whatever happened."""

    def __init__(self, keeper: LogKeeper) -> None:
        self._keeper = keeper

    async def __aenter__(self) -> None:
        self._keeper.holding = True

    async def __aexit__(self, *_: object) -> None:
        self._keeper.holding = False
        await self._keeper._crew.release()  # noqa: SLF001 -- part of the keeper
