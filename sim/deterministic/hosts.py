"""A host of the run: the real inboxes, shards and outlets, without an event loop around them."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

from actors.host.activation import RECENT, Activation, _gap, _item, tail_after
from actors.host.effect_executor import Outlets, StreamKey
from actors.host.inboxes import Inboxes
from actors.host.links import FromLinks
from actors.host.shard import Shard
from actors.host.state import HostState, Resident
from actors.host.writer import Writer
from actors.service import ClusterView
from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from actors.user.view import receipt_of
from roost.clock import Clock
from roost.errors import Unavailable
from sim.deterministic.invariants import Violation
from sim.deterministic.logs import Log, SlowWriter
from sim.deterministic.stores import Cache, Slow, Store
from sim.deterministic.turns import Fate, Task, Turn, finish

T = TypeVar("T")

WRITES = ("documents", "rows", "receipts", "cursors", "rest", "wakes")

Watcher = Callable[[str, do.Effect], None]
"""Sees every effect of every actor: the user, and the effect."""


class QueuesOnly(Writer):
    """The writer's queues and writes; when a write begins is a step of the run."""

    async def _collect(self, name: str, seconds: float) -> None:  # noqa: ARG002 -- time is not waited for here
        self._hurry[name].clear()

    def due(self, kind: str) -> bool:
        """Say whether a write of this kind has something to do."""
        waiting: dict[str, Sequence[object]] = {
            "documents": self._documents,
            "rows": [*self._rows, *self._rows_out, *self._floors],
            "receipts": [*self._receipts, *self._cursors],
            "cursors": list(self._settled),
            "rest": [*self._blocks, *self._came, *self._presence],
            "wakes": self._wakes,
        }
        return bool(waiting[kind])

    async def write(self, kind: str) -> None:
        """Do one round of writes of this kind; what fails stays queued."""
        body: Callable[[], Awaitable[None]] = getattr(self, f"_write_{kind}")
        try:
            await body()
        except Unavailable:
            return


class Lookups(Activation):
    """The look-ups, one after another."""

    async def _from_store(self, floors: dict[str, int]) -> dict[str, ev.Loaded]:
        loaded: dict[str, ev.Loaded] = {}
        for user, floor in floors.items():
            accounts = await self._store.accounts.users_by_id([user])
            devices = await self._store.accounts.devices_of([user])
            cursors = await self._store.mailboxes.cursors_of([user])
            blocks = await self._store.accounts.blocks_of([user])
            rows = await self._store.conversations.of_users([user])
            after = tail_after(cursors[user], floor)
            tail = await self._store.mailboxes.tail(user, after, floor, RECENT)
            loaded[user] = ev.Loaded(
                user=accounts[user],
                devices=tuple(devices[user]),
                cursors=cursors[user],
                blocks=tuple(blocks[user]),
                rows=tuple(rows[user]),
                newest=tail[-1].greatest if tail else "",
                tail=tail[-1].seq if tail else 0,
                handled=floor - 1,
                recent=tuple(_item(document) for document in tail),
            )
        return loaded

    async def facts(self, wanted: dict[str, list[ev.Unknown]]) -> dict[str, ev.Facts]:
        """Look up what the events of these users lack."""
        return {user: await self._facts_of(user, unknown) for user, unknown in wanted.items()}

    async def page(
        self, user: str, after: int, upto: int, limit: int
    ) -> tuple[tuple[ev.Item, ...], int, bool]:
        """Read stored entries; the rows after the documents, as it may happen."""
        documents = await self._store.mailboxes.range(user, after, upto, limit)
        rows = await self._store.conversations.receipts_after(user, after, upto)
        through = documents[-1].seq if len(documents) >= limit else upto
        items = [_item(document) for document in documents]
        items += [receipt_of(row) for row in rows if row.receipt_seq <= through]
        items.sort(key=lambda item: item.seq)
        return tuple(items), through, _gap(documents, after)


class Host(Inboxes, FromLinks):
    """One life of a host.

    Attributes:
        tasks: What waits for an answer of a store.
    """

    def __init__(
        self,
        name: str,
        life: str,
        servers: tuple[Store, Cache, Log],
        clock: Clock,
        watcher: Watcher,
        actor: type[UserActor] = UserActor,
    ) -> None:
        store, cache, log = servers
        slow, quick = cast("Any", Slow(store)), cast("Any", Slow(cache))
        HostState.__init__(self, name, slow, quick, SlowWriter(log), b"", clock)
        self._incarnation = life
        self._writer: QueuesOnly = QueuesOnly(slow, quick, self._log, self._finished, self._answered, clock)
        self._activation = Lookups(slow, quick, self._writer, life)
        self._outlets = Outlets(self._writer, clock)
        self._writer.shards = len(log.shards)
        self._watcher = watcher
        self._actor = actor
        self.tasks: list[Task] = []
        self._writing: dict[str, Task] = {}

    # --- steps of the run ---

    def received(self, link: Any, messages: list[Any]) -> None:
        """Turn messages into events, and handle what can be."""
        super().received(link, messages)
        self._run_all()

    def closed(self, link: Any) -> None:
        """Detach the streams of a gateway that is gone; forget a router."""
        super().closed(link)
        self._run_all()

    def learn(self, view: ClusterView) -> None:
        """Take the map."""
        finish(self.apply(view))
        self._run_all()

    def writes(self) -> list[str]:
        """Return the kinds of write that could begin."""
        return [kind for kind in WRITES if kind not in self._writing and self._writer.due(kind)]

    def write(self, kind: str) -> bool:
        """Begin a write."""
        if kind in self._writing or not self._writer.due(kind):
            return False
        task = Task(kind, self._writer.write(kind))
        if not task.over:
            self._writing[kind] = task
            self.tasks.append(task)
        return True

    def go_on(self, index: int, fate: Fate) -> bool:
        """Let one store call have its fate."""
        if not self.tasks:
            return False
        task = self.tasks[index % len(self.tasks)]
        task.go_on(fate)
        if task.over:
            self.tasks.remove(task)
            self._writing = {kind: each for kind, each in self._writing.items() if each is not task}
        self._run_all()
        return True

    def tick(self) -> None:
        """Let every actor look at the clock: deadlines are not kept one by one."""
        for user, resident in list(self._residents.items()):
            if resident.actor is not None:
                self._post(user, ev.TimePassed())
        self._run_all()

    def passivate(self, user: str) -> bool:
        """Let an idle actor go."""
        resident = self._residents.get(user)
        if resident is None or resident.actor is None or resident.waiting or resident.inbox:
            return False
        actor = resident.actor
        actor.head.trim(resident.shard.stored_seq, actor.head.handled, 0)
        if not actor.idle:
            return False
        del self._residents[user]
        self._spawn(self._activation.put({user: actor.snapshot()}))
        return True

    def has_all_of(self, shard: int, since: int) -> bool:
        """Say whether the shard is here since this map, with all that was in its log."""
        known = self._shards.get(shard)
        return known is not None and known.ready and known.since == since

    @property
    def life(self) -> str:
        """This life's name."""
        return self._incarnation

    @property
    def version(self) -> int:
        """Version of the map it goes by."""
        return self._view.version if self._view is not None else 0

    @property
    def users(self) -> list[str]:
        """The users who are here."""
        return list(self._residents)

    def actors(self) -> Iterator[tuple[str, UserActor]]:
        """Yield the users who are loaded, with their actors."""
        for user, resident in self._residents.items():
            if resident.actor is not None:
                yield user, resident.actor

    @property
    def shards(self) -> list[int]:
        """The shards that are here."""
        return list(self._shards)

    def streams(self) -> list[StreamKey]:
        """Return the streams that are attached here."""
        return [info.key for info in self._outlets.streams.values()]

    def numbers(self, user: str) -> set[int]:
        """Return this host's numbers of a user's streams."""
        return {number for number, info in self._outlets.streams.items() if info.user == user}

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits to be written or looked up."""
        return not self.tasks and not self.writes()

    # --- in place of the event loop ---

    def _run(self, user: str, resident: Resident) -> None:
        if not resident.waiting:
            self._runnable[user] = resident

    def _run_all(self) -> None:
        while self._runnable:
            self._turn()
        self._tell_all_stored()

    def _finished(self, tickets: Sequence[Any]) -> None:
        for ticket in tickets:
            ticket.offsets.done(ticket.offset)

    def _spawn(self, coroutine: Any) -> None:
        task = Task(getattr(coroutine, "__name__", "task"), coroutine)
        if not task.over:
            self.tasks.append(task)

    async def _pause(self) -> None:
        await Turn()

    def _new_actor(self, loaded: ev.Loaded) -> UserActor:
        return self._actor(loaded)

    async def _refresh(self, user: str, token: object) -> None:
        accounts = await self._insist(lambda: self._store.accounts.users_by_id([user]))
        devices = await self._insist(lambda: self._store.accounts.devices_of([user]))
        if user in self._residents:
            self._post(user, ev.Refreshed(token, accounts[user], tuple(devices[user])))
        else:
            self._activation.outdate(lambda each: each == user)
            self._answered(token)

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except Unavailable:
                await Turn()

    def _handle(
        self, user: str, waited: tuple[ev.Event, Shard, int | None], actor: UserActor, stored: int, now: int
    ) -> None:
        event, shard, offset = waited
        for effect in actor.handle(event, now, stored):
            self._watcher(user, effect)
            if isinstance(effect, do.ReadPage):
                self._spawn(self._read_page(user, effect))
            elif not isinstance(effect, do.SetTimer):
                self._outlets.perform(actor.user, effect, shard, offset)
        if offset is not None:
            shard.offsets.done(offset)

    def _poison(self, shard: Shard, offset: int, value: bytes, reason: str) -> None:
        raise Violation("poison", f"shard {shard.number}, offset {offset}: {reason}; {value!r}")
