"""What a host holds, and the small steps that all its parts share."""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
from msgspec import Struct

from actors.host.activation import Activation
from actors.host.effect_executor import Outlets
from actors.host.ledger import Ledger
from actors.host.shard import Shard
from actors.host.writer import Ticket, Writer
from actors.rpc import messages as msg
from actors.rpc.link import Link
from actors.service import ClusterView
from actors.user import UserActor
from actors.user import events as ev
from roost.clock import Clock
from roost.errors import Unavailable
from roost.ids import shard_of
from storage.ports import Cache, LogWriter, Store
from storage.records import DeadLetter
from storage.topics import MAILBOX, MAILBOX_DEAD
from telemetry import metrics

log = structlog.get_logger()

T = TypeVar("T")


class HostSettings(Struct, frozen=True):
    """What an operator may set.

    Attributes:
        listen: IP address to listen on for links.
        idle_ms: An actor nobody needs is passivated after this long, in milliseconds.
        sweep_every_s: How often idle actors are looked for, in seconds.
        store_linger_s: How long entries are collected before they are stored, in seconds.
    """

    listen: str = "127.0.0.1"
    idle_ms: int = 60_000
    sweep_every_s: float = 5.0
    store_linger_s: float = 0.0


class Resident:
    """One user at this host: the actor, once it is loaded, and the events that wait for it."""

    __slots__ = ("actor", "inbox", "shard", "touched_ms", "waiting")

    def __init__(self, shard: Shard) -> None:
        self.actor: UserActor | None = None
        # With each event the shard it came for: a record's offset is one of that shard's log, and the log
        # may begin anew while the event waits.
        self.inbox: deque[tuple[ev.Event, Shard, int | None]] = deque()
        self.shard = shard
        self.waiting = False
        self.touched_ms = 0


class HostState:
    """Shards, residents and links of one host."""

    def __init__(
        self,
        name: str,
        store: Store,
        cache: Cache,
        log_writer: LogWriter,
        secret: bytes,
        clock: Clock,
        settings: HostSettings | None = None,
    ) -> None:
        self.name = name
        self._store, self._cache, self._log, self._clock = store, cache, log_writer, clock
        self._secret = secret
        self._settings = settings or HostSettings()
        self._incarnation = secrets.token_hex(8)
        self._writer = Writer(
            store, cache, log_writer, self._finished, self._answered, clock, self._settings.store_linger_s
        )
        self._activation = Activation(store, cache, self._writer, self._incarnation)
        self._outlets = Outlets(self._writer, clock)
        self._view: ClusterView | None = None
        self._shards: dict[int, Shard] = {}
        self._since: dict[int, int] = {}  # the newest map that gave us a shard, as far as anybody said
        self._over: dict[int, int] = {}  # logs of a shard under a lower base are over, whoever has read them
        self._routers: dict[int, Link] = {}
        self._gateways: set[Link] = set()
        self._readers: dict[Link, None] = {}  # links of routers
        self._residents: dict[str, Resident] = {}
        self._runnable: dict[str, Resident] = {}
        self._to_load: dict[str, None] = {}  # users whose actors are asked for, in order
        self._loading = 0
        self._timers: list[tuple[int, str]] = []
        self._timer_set = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._tell_routers = False
        self._ledger: Ledger | None = None

    def _post(self, user: str, event: ev.Event) -> None:
        """Put an event into the user's inbox; a user without shard here is not ours any more."""
        shard = self._shard_of(user)
        if shard is not None:
            self._post_at(shard, user, event, None)

    def _shard_of(self, user: str) -> Shard | None:
        return None if self._view is None else self._shards.get(shard_of(user, self._view.shards))

    def _post_at(self, shard: Shard, user: str, event: ev.Event, offset: int | None) -> None:
        resident = self._residents.get(user)
        if resident is None:
            resident = self._residents[user] = Resident(shard)
        resident.inbox.append((event, shard, offset))
        self._run(user, resident)

    def _run(self, user: str, resident: Resident) -> None:
        if not resident.waiting:
            if not self._runnable:
                asyncio.get_running_loop().call_soon(self._turn)
            self._runnable[user] = resident

    def _turn(self) -> None:
        """Handle what can be handled; see `actors.host.inboxes`."""
        raise AssertionError("a host is made of all its parts")

    def _poison(self, shard: Shard, offset: int, value: bytes, reason: str) -> None:
        log.error("poison_record", shard=shard.number, offset=offset, reason=reason)
        metrics.POISON_RECORDS.inc()
        letter = DeadLetter(MAILBOX, shard.number, offset, reason, value, self._clock())
        self._spawn(self._keep_dead_letter(letter, Ticket(shard.offsets, offset)))

    async def _keep_dead_letter(self, letter: DeadLetter, ticket: Ticket) -> None:
        """Keep the record where people find it, and only then go past it."""
        await self._insist(lambda: self._store.cluster.keep_dead_letters([letter]))
        await self._insist(lambda: self._append_dead_letter(letter))
        self._finished([ticket])

    async def _append_dead_letter(self, letter: DeadLetter) -> None:
        [result] = await self._log.append(MAILBOX_DEAD, [(0, msg.encode(letter))])
        if isinstance(result, Exception):
            raise result

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask until the store answers: the users concerned wait, nobody else does."""
        pause = 0.05
        while True:
            try:
                return await call()
            except Unavailable as exc:
                log.warning("look_up_postponed", reason=exc.detail)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    def _finished(self, tickets: Sequence[Ticket]) -> None:
        moved = False
        for ticket in tickets:
            moved = ticket.offsets.done(ticket.offset) or moved
        if moved and not self._tell_routers:
            self._tell_routers = True
            asyncio.get_running_loop().call_soon(self._tell_all_stored)

    def _tell_all_stored(self) -> None:
        self._tell_routers = False
        by_link: dict[Link, list[Shard]] = {}
        for number, shard in self._shards.items():
            router = self._routers.get(number)
            # A repeat of what the log before had counts as stored once that is stored, not before: the log
            # before is gone, and only a replay of the repeat would bring it back.
            if router is not None and shard.offsets.stored > shard.told and not shard.settling:
                by_link.setdefault(router, []).append(shard)
        for link, shards in by_link.items():
            self._say_stored(link, shards)

    def _tell_stored(self, shard: Shard) -> None:
        if not shard.settling:
            self._say_stored(self._routers[shard.number], [shard])

    def _say_stored(self, router: Link, shards: list[Shard]) -> None:
        for shard in shards:
            shard.told = shard.offsets.stored
        router.send(msg.Stored({s.number: s.told for s in shards}, {s.number: s.base for s in shards}))

    def _answered(self, token: object) -> None:
        self._outlets.answer(token, msg.Done())

    def _spawn(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("host_task_failed", exc_info=task.exception())
