"""The host: the shell around the user actors of its shards.

Data walks one way: a message comes in over a link, becomes an event in its user's inbox, the actor
turns it into effects, and the effects leave over links or through the writer. A user whose actor
must be loaded, or whose event lacks a fact, waits with its inbox; everybody else goes on.
"""

import asyncio
import heapq
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from msgspec import Struct

from actors import effects as do
from actors import events as ev
from actors import messages as msg
from actors.activation import Activation
from actors.link import Link, serve
from actors.outlets import Outlets, StreamKey
from actors.service import Address, ClusterView
from actors.shard import Shard
from actors.user import UserActor
from actors.writer import Ticket, Writer
from roost.clock import Clock
from roost.errors import Unavailable
from roost.ids import shard_of
from storage import metrics
from storage.ports import Cache, LogWriter, Store
from storage.records import Dead, decode_record

log = structlog.get_logger()


class HostSettings(Struct, frozen=True):
    """What an operator may set.

    Attributes:
        listen: IP address to listen on for links.
        idle_ms: An actor nobody needs is passivated after this long, in milliseconds.
        sweep_every_s: How often idle actors are looked for, in seconds.
    """

    listen: str = "127.0.0.1"
    idle_ms: int = 60_000
    sweep_every_s: float = 5.0


class Resident:
    """One user at this host: the actor, once it is loaded, and the events that wait for it."""

    __slots__ = ("actor", "inbox", "shard", "touched_ms", "waiting")

    def __init__(self, shard: Shard) -> None:
        self.actor: UserActor | None = None
        self.inbox: deque[tuple[ev.Event, int | None]] = deque()
        self.shard = shard
        self.waiting = False
        self.touched_ms = 0


class ActorHost:
    """Hosts the actors of the shards that routers open here; see `actors.service.Service`."""

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
        self._writer = Writer(store, cache, log_writer, clock, self._finished, self._answered)
        self._activation = Activation(store, cache, self._writer, self._incarnation)
        self._outlets = Outlets(self._writer, clock)
        self._view: ClusterView | None = None
        self._shards: dict[int, Shard] = {}
        self._routers: dict[int, Link] = {}
        self._residents: dict[str, Resident] = {}
        self._runnable: dict[str, Resident] = {}
        self._timers: list[tuple[int, str]] = []
        self._timer_set = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._tell_routers = False

    # --- Service ----------------------------------------------------------------------------------

    async def start(self) -> Address:
        """Listen for links and start the loops."""
        self._writer.start()
        self._server, address = await serve(
            self._settings.listen, 0, self, msg.decode_to_host, secret=self._secret
        )
        self._spawn(self._keep_time())
        self._spawn(self._passivate())
        return address

    async def apply(self, view: ClusterView) -> None:
        """Take the newest map: let go of shards that others own now."""
        if self._view is not None and view.version < self._view.version:
            return
        self._view = view
        self._writer.shards = view.shards
        for number in [n for n in self._shards if view.hosts[n] != self.name]:
            self._drop_shard(number)

    async def hold(self) -> None:
        """Append nothing to the log until `release`."""
        self._writer.hurry()
        await self._log.pause()

    async def release(self) -> None:
        """Append again."""
        self._log.resume()

    async def status(self) -> dict[str, Any]:
        """Return how many shards, users and streams are here, and what waits to be written."""
        self._writer.hurry()
        return {
            "shards": len(self._shards),
            "users": len(self._residents),
            "streams": len(self._outlets.streams),
            "waiting": self._writer.waiting,
        }

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        metrics.ACTIVE_USERS.set(len(self._residents))
        metrics.ATTACHED_STREAMS.set(len(self._outlets.streams))
        return metrics.exposition()

    async def stop(self) -> None:
        """Write what waits and disconnect."""
        if self._server is not None:
            self._server.close()
        await self._writer.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._outlets.close()
        for link in set(self._routers.values()):
            link.close()

    # --- links ------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """A router or gateway is there."""
        log.info("link_opened", role=link.role, peer=link.name)

    def received(self, link: Link, messages: list[Any]) -> None:
        """Turn messages into events."""
        for message in messages:
            handler = _FROM_LINK.get(type(message))
            if handler is not None:
                handler(self, link, message)
            else:
                self._question(link, message)

    def closed(self, link: Link) -> None:
        """Detach the streams of a gateway that is gone; forget a router."""
        log.info("link_closed", role=link.role, peer=link.name)
        for shard in [n for n, router in self._routers.items() if router is link]:
            del self._routers[shard]
        for key in self._outlets.streams_of(link):
            self._detach(key)
        for watcher, user in self._outlets.watches_of(link):
            self._post(user, ev.Unwatched(watcher))

    # --- from routers -----------------------------------------------------------------------------

    def _open(self, link: Link, opened: msg.Open) -> None:
        if self._view is not None and self._view.hosts[opened.shard] != self.name:
            link.send(msg.NotMine(opened.shard, self._view.version))
            return
        self._routers[opened.shard] = link
        known = self._shards.get(opened.shard)
        if known is not None and known.continues(opened):
            known.told = -1
            self._tell_stored(known)
            return
        waiting = known.waiting if known is not None else []
        if known is not None and opened.base == known.base:
            self._drop_shard(opened.shard)
            known = None
        shard = self._shards[opened.shard] = Shard(opened, known)
        shard.waiting = waiting
        for resident in self._residents.values():
            if resident.shard is known:
                resident.shard = shard
        log.info("shard_opened", shard=shard.number, base=shard.base, offset=opened.offset, end=opened.end)
        self._if_ready(shard)

    def _batch(self, link: Link, batch: msg.Batch) -> None:
        metrics.HOST_BATCH_RECORDS.observe(sum(len(part.offsets) for part in batch.parts))
        for part in batch.parts:
            shard = self._shards.get(part.shard)
            if shard is None or self._routers.get(part.shard) is not link:
                # A router that was paused does not know that another one read this shard meanwhile: it
                # must open it anew, else it would send for ever to a host that does not listen.
                link.send(msg.NotMine(part.shard, self._view.version if self._view is not None else 0))
                continue
            for offset, value in zip(part.offsets, part.values, strict=True):
                if offset >= shard.offsets.following:
                    shard.offsets.begin(offset)
                    self._take(shard, offset, value)
            self._if_ready(shard)

    def _take(self, shard: Shard, offset: int, value: bytes) -> None:
        try:
            record = decode_record(value)
        except ValueError as exc:
            self._poison(shard, offset, value, f"the record cannot be decoded: {exc}")
            return
        if self._view is not None and shard_of(record.to, self._view.shards) != shard.number:
            self._poison(shard, offset, value, "the record is on a shard that is not its recipient's")
            return
        self._post_at(shard, record.to, ev.RecordArrived(shard.base + offset, record, value), offset)

    def _poison(self, shard: Shard, offset: int, value: bytes, reason: str) -> None:
        log.error("poison_record", shard=shard.number, offset=offset, reason=reason)
        metrics.POISON_RECORDS.inc()
        dead = Dead("mailbox", shard.number, offset, reason, value, self._clock())
        self._spawn(self._bury(dead, Ticket(shard.offsets, offset)))

    async def _bury(self, dead: Dead, ticket: Ticket) -> None:
        """Keep the record where people find it, and only then go past it."""
        await self._insist(lambda: self._store.bury([dead]))
        await self._insist(lambda: self._append_dead(dead))
        self._finished([ticket])

    async def _append_dead(self, dead: Dead) -> None:
        [result] = await self._log.append("mailbox.dead", [(0, msg.encode(dead))])
        if isinstance(result, Exception):
            raise result

    def _shut(self, link: Link, message: msg.Shut) -> None:
        for shard in message.shards:
            if self._routers.get(shard) is link:
                del self._routers[shard]

    def _if_ready(self, shard: Shard) -> None:
        if shard.ready and shard.waiting:
            waiting, shard.waiting = shard.waiting, []
            for call in waiting:
                call()

    def _drop_shard(self, number: int) -> None:
        shard = self._shards.pop(number)
        links: set[Link] = set()
        for user in [u for u, r in self._residents.items() if r.shard is shard]:
            del self._residents[user]
            links |= self._outlets.forget(user)
        version = self._view.version if self._view is not None else 0
        for link in links:
            link.send(msg.NotMine(number, version))
        log.info("shard_dropped", shard=number)

    # --- from gateways ----------------------------------------------------------------------------

    def _for_user(self, link: Link, user: str, call: Callable[[], None]) -> bool:
        """Run the call when the user's shard is here and has caught up; say if it is not ours."""
        number = shard_of(user, self._view.shards) if self._view is not None else -1
        shard = self._shards.get(number)
        if shard is None:
            link.send(msg.NotMine(number, self._view.version if self._view is not None else 0))
            return False
        if shard.ready:
            call()
        else:
            shard.waiting.append(call)
        return True

    def _attach(self, link: Link, attach: msg.Attach) -> None:
        def call() -> None:
            number = self._outlets.open_stream(link, attach.stream, attach.user, attach.device)
            event = ev.StreamAttached(
                number, attach.device, attach.cursor, attach.acked, attach.background, attach.resume
            )
            self._post(attach.user, event)
            if attach.acked:
                self._post(attach.user, ev.Acked(attach.device, attach.acked, number))

        self._for_user(link, attach.user, call)

    def _detached(self, link: Link, message: msg.Detach) -> None:
        self._detach(StreamKey(link, message.stream))

    def _detach(self, key: StreamKey) -> None:
        stream = self._outlets.close_stream(key)
        if stream is not None:
            self._post(stream.user, ev.StreamDetached(stream.number))

    def _ack(self, link: Link, ack: msg.Ack) -> None:
        stream = self._outlets.stream(StreamKey(link, ack.stream))
        if stream is not None:
            self._post(stream.user, ev.Acked(stream.device, ack.seq, stream.number))

    def _typing(self, _link: Link, typing: msg.Typing) -> None:
        resident = self._residents.get(typing.to)
        if resident is not None:  # nobody is attached to a user who is not here
            self._post(typing.to, ev.TypingHeard(typing.sender, typing.sender_name, typing.state))

    def _watch(self, link: Link, watch: msg.Watch) -> None:
        for user in watch.users:
            self._for_user(link, user, lambda user=user: self._watched(link, watch.watcher, user))  # type: ignore[misc]

    def _watched(self, link: Link, watcher: str, user: str) -> None:
        self._outlets.watch(link, watcher, user)
        self._post(user, ev.Watched(watcher))

    def _unwatch(self, link: Link, unwatch: msg.Unwatch) -> None:
        for user in unwatch.users:
            if self._outlets.unwatch(link, unwatch.watcher, user):
                self._post(user, ev.Unwatched(unwatch.watcher))

    def _question(self, link: Link, question: msg.Question) -> None:
        token = (link, question.call)

        def call() -> None:
            if isinstance(question, msg.Refresh):
                self._spawn(self._refresh(question.user, token))
            else:
                self._post(question.user, self._outlets.event_of(question, token))

        self._for_user(link, question.user, call)

    async def _refresh(self, user: str, token: object) -> None:
        accounts, devices = await asyncio.gather(
            self._store.users_by_id([user]), self._store.devices_of([user])
        )
        if user in accounts and user in self._residents:
            self._post(user, ev.Refreshed(token, accounts[user], tuple(devices.get(user, ()))))
        else:
            self._answered(token)

    # --- inboxes ----------------------------------------------------------------------------------

    def _post(self, user: str, event: ev.Event) -> None:
        """Put an event into the user's inbox; a user without shard here is not ours any more."""
        number = shard_of(user, self._view.shards) if self._view is not None else -1
        shard = self._shards.get(number)
        if shard is not None:
            self._post_at(shard, user, event, None)

    def _post_at(self, shard: Shard, user: str, event: ev.Event, offset: int | None) -> None:
        resident = self._residents.get(user)
        if resident is None:
            resident = self._residents[user] = Resident(shard)
        resident.inbox.append((event, offset))
        self._run(user, resident)

    def _run(self, user: str, resident: Resident) -> None:
        if not resident.waiting:
            if not self._runnable:
                asyncio.get_running_loop().call_soon(self._turn)
            self._runnable[user] = resident

    def _turn(self) -> None:
        """Handle every event that can be handled; start the look-ups for the others."""
        runnable, self._runnable = self._runnable, {}
        floors: dict[str, int] = {}
        wanted: dict[str, list[ev.Unknown]] = {}
        now = self._clock()
        for user, resident in runnable.items():
            resident.touched_ms = now
            if resident.actor is None:
                resident.waiting = True
                floors[user] = resident.shard.stored_seq + 1
                continue
            lacks = self._work(user, resident, resident.actor, now)
            if lacks:
                resident.waiting = True
                wanted[user] = lacks
        if floors:
            self._spawn(self._load(floors))
        if wanted:
            self._spawn(self._look_up(wanted))

    def _work(self, user: str, resident: Resident, actor: UserActor, now: int) -> list[ev.Unknown]:
        inbox = resident.inbox
        while inbox:
            event, offset = inbox[0]
            lacks = actor.lacks(event)
            if lacks:
                return lacks
            inbox.popleft()
            self._handle(user, resident, actor, event, offset, now)
        return []

    def _handle(
        self, user: str, resident: Resident, actor: UserActor, event: ev.Event, offset: int | None, now: int
    ) -> None:
        shard = resident.shard
        try:
            effects = actor.handle(event, now, shard.stored_seq)
        except Exception as exc:
            # A record that breaks the rules must not come back for ever; anything else is a bug to see.
            log.exception("event_failed", user=user, kind=type(event).__name__)
            if isinstance(event, ev.RecordArrived) and offset is not None:
                self._poison(shard, offset, event.value, f"{type(exc).__name__}: {exc}")
            return
        for effect in effects:
            if isinstance(effect, do.ReadPage):
                self._spawn(self._read_page(user, effect))
            elif isinstance(effect, do.SetTimer):
                heapq.heappush(self._timers, (effect.at_ms, user))
                self._timer_set.set()
            else:
                self._outlets.perform(actor.user, effect, shard, offset)
        if offset is not None:
            self._finished([Ticket(shard.offsets, offset)])

    # --- look-ups ---------------------------------------------------------------------------------

    async def _load(self, floors: dict[str, int]) -> None:
        while settling := [r for u in floors if (r := self._residents.get(u)) and r.shard.settling]:
            log.info("activation_waits", users=len(settling), reason="the log before is being stored")
            await asyncio.sleep(0.05)
        loaded = await self._insist(lambda: self._activation.load(floors))
        metrics.ACTIVATIONS.inc(len(loaded))
        for user in floors:
            resident = self._residents.get(user)
            if resident is None or resident.actor is not None:
                continue
            resident.waiting = False
            if user in loaded:
                resident.actor = UserActor(loaded[user])
                self._run(user, resident)
            else:
                self._no_such_user(user, resident)

    def _no_such_user(self, user: str, resident: Resident) -> None:
        del self._residents[user]
        for event, offset in resident.inbox:
            if isinstance(event, ev.RecordArrived) and offset is not None:
                self._poison(resident.shard, offset, event.value, "the recipient does not exist")
            else:
                self._outlets.refuse_event(event, "unknown_user", "there is no such user")

    async def _look_up(self, wanted: dict[str, list[ev.Unknown]]) -> None:
        facts = await self._insist(lambda: self._activation.facts(wanted))
        for user in wanted:
            resident = self._residents.get(user)
            if resident is None or resident.actor is None:
                continue
            resident.actor.learn(facts[user])
            resident.waiting = False
            self._run(user, resident)

    async def _read_page(self, user: str, page: do.ReadPage) -> None:
        items, through, missed = await self._insist(
            lambda: self._activation.page(user, page.after, page.upto, page.limit)
        )
        if missed:
            log.warning("entries_missed", user=user, after=page.after, upto=page.upto)
            metrics.MISSED_ENTRIES.inc()
        if user in self._residents:
            self._post(user, ev.PageRead(page.reader, items, through, missed))

    async def _insist(self, call: Callable[[], Any]) -> Any:
        """Ask until the store answers: the users concerned wait, nobody else does."""
        pause = 0.05
        while True:
            try:
                return await call()
            except Unavailable as exc:
                log.warning("look_up_postponed", reason=exc.detail)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)

    # --- durable work -----------------------------------------------------------------------------

    def _finished(self, tickets: Sequence[Ticket]) -> None:
        moved = False
        for ticket in tickets:
            moved = ticket.offsets.done(ticket.offset) or moved
        if moved and not self._tell_routers:
            self._tell_routers = True
            asyncio.get_running_loop().call_soon(self._tell_all_stored)

    def _tell_all_stored(self) -> None:
        self._tell_routers = False
        by_link: dict[Link, dict[int, int]] = {}
        for number, shard in self._shards.items():
            router = self._routers.get(number)
            if router is not None and shard.offsets.stored > shard.told:
                shard.told = shard.offsets.stored
                by_link.setdefault(router, {})[number] = shard.told
        for link, offsets in by_link.items():
            link.send(msg.Stored(offsets))

    def _tell_stored(self, shard: Shard) -> None:
        router = self._routers[shard.number]
        shard.told = shard.offsets.stored
        router.send(msg.Stored({shard.number: shard.told}))

    def _answered(self, token: object) -> None:
        self._outlets.answer(token, msg.Done())

    # --- time -------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        while True:
            now = self._clock()
            while self._timers and self._timers[0][0] <= now:
                _, user = heapq.heappop(self._timers)
                if user in self._residents:
                    self._post(user, ev.TimePassed())
            self._timer_set.clear()
            delay = max((self._timers[0][0] - now) / 1000, 0.001) if self._timers else 3600.0
            try:
                async with asyncio.timeout(delay):
                    await self._timer_set.wait()
            except TimeoutError:
                continue

    async def _passivate(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_every_s)
            limit = self._clock() - self._settings.idle_ms
            snapshots: dict[str, ev.Loaded] = {}
            for user, resident in list(self._residents.items()):
                self._retire(user, resident, limit, snapshots)
            if snapshots:
                metrics.PASSIVATIONS.inc(len(snapshots))
                await self._activation.put(snapshots)

    def _retire(self, user: str, resident: Resident, limit: int, snapshots: dict[str, ev.Loaded]) -> None:
        actor = resident.actor
        if actor is None or resident.waiting or resident.inbox or resident.touched_ms > limit:
            return
        actor.head.trim(resident.shard.stored_seq, actor.head.handled, 0)
        if actor.idle:
            snapshots[user] = actor.snapshot()
            del self._residents[user]

    def _spawn(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("host_task_failed", exc_info=task.exception())


_FROM_LINK: dict[type, Callable[[ActorHost, Link, Any], None]] = {
    msg.Open: ActorHost._open,  # noqa: SLF001 - the table is part of the class
    msg.Batch: ActorHost._batch,  # noqa: SLF001
    msg.Shut: ActorHost._shut,  # noqa: SLF001
    msg.Attach: ActorHost._attach,  # noqa: SLF001
    msg.Detach: ActorHost._detached,  # noqa: SLF001
    msg.Ack: ActorHost._ack,  # noqa: SLF001
    msg.Typing: ActorHost._typing,  # noqa: SLF001
    msg.Watch: ActorHost._watch,  # noqa: SLF001
    msg.Unwatch: ActorHost._unwatch,  # noqa: SLF001
}
