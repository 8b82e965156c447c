"""A host of the run: the real one, on a runtime whose calls and tasks are steps of the run."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Protocol, cast

from actors.host import ActorHost, HostSettings, Stores
from actors.host.runtime import Runtime
from actors.host.shards.shard import Shard
from actors.host.streams.streams import StreamKey
from actors.host.writes.queue import WriteQueue
from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from actors.user.errors import InvariantError
from roost.clock import Clock
from roost.errors import Unavailable
from sim.deterministic.facts import Violation
from sim.deterministic.logs import Log, SlowWriter
from sim.deterministic.stores import Cache, Slow, Store
from sim.deterministic.turns import Fate, Task, Turn, finish
from storage.cluster_rows import DeadLetter
from storage.shard_map import ShardMap


class Watcher(Protocol):
    """Sees what happens in hosts."""

    def handled(self, user: str, event: ev.Event, effects: list[do.Effect]) -> None:
        """An actor has handled an event."""
        ...

    def gave_up(self, shard: int) -> None:
        """A host has forgotten all that it knew of a shard's users."""
        ...


class StepRuntime(Runtime):
    """Stands in for the event loop.

    Attributes:
        tasks: What waits for an answer of a store, or for time to pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], None]] = []
        self.tasks: list[Task] = []

    def soon(self, call: Callable[[], None]) -> None:
        """Call when this step is done."""
        self._calls.append(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:  # noqa: ARG002
        """Reports to gateways are not part of the run."""
        return lambda: None

    def spawn(self, work: Coroutine[Any, Any, None], *, essential: bool = False) -> None:  # noqa: ARG002
        """Run to the first call of a store."""
        task = Task(getattr(work, "__name__", "task"), work)
        if not task.over:
            self.tasks.append(task)

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002 -- time passes when the run says so
        """Wait for a turn."""
        await Turn()

    async def gather(self, *calls: Coroutine[Any, Any, Any]) -> Sequence[Any]:
        """Await one after another."""
        try:
            return [await call for call in calls]
        finally:
            for call in calls:
                call.close()

    def run(self) -> None:
        """Make the calls of this step, and those that follow from them."""
        while self._calls:
            self._calls.pop(0)()


class Host(ActorHost):
    """One life of a host.

    Attributes:
        life: Its name.
    """

    def __init__(
        self,
        name: str,
        life: str,
        servers: tuple[Store, Cache, Log],
        clock: Clock,
        watcher: Watcher,
        actor: type[UserActor] = UserActor,
        settings: HostSettings | None = None,
    ) -> None:
        store, cache, log = servers
        self.life = life
        self._watcher = watcher
        self._steps = StepRuntime()
        self._failures: list[Exception] = []
        super().__init__(
            name,
            Stores(cast("Any", HostStore(store)), cast("Any", Slow(cache)), SlowWriter(log)),
            b"",
            clock,
            settings or HostSettings(),
            runtime=self._steps,
            make_actor=_watched(actor, watcher, self._failures),
        )
        self._shards.count = len(log.shards)
        self._writing: dict[str, Task] = {}

    # --- steps of the run ---

    def received(self, link: Any, messages: list[Any]) -> None:
        """Turn messages into events, and handle what can be."""
        super().received(link, messages)
        self.run()

    def closed(self, link: Any) -> None:
        """Detach the streams of a gateway that is gone; forget a router."""
        super().closed(link)
        self.run()

    def learn(self, view: ShardMap) -> None:
        """Take the map."""
        finish(self.apply(view))
        self.run()

    def writes(self) -> list[str]:
        """Return the kinds of write that could begin."""
        return [q.name for q in self._writer.queues if q.name not in self._writing and q.waiting]

    def write(self, kind: str) -> bool:
        """Begin a write."""
        if kind not in self.writes():
            return False
        queue = next(each for each in self._writer.queues if each.name == kind)
        task = Task(kind, _written(queue))
        if not task.over:
            self._writing[kind] = task
            self.tasks.append(task)
        self.run()
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
        self.run()
        return True

    def tick(self) -> None:
        """Let every actor look at the clock: deadlines are not kept one by one."""
        for user in [user for user, _ in self.actors()]:
            self.post(user, ev.TimePassed())

    def post(self, user: str, event: ev.Event) -> None:
        """Let something happen to a user."""
        self._residents.post(user, event)
        self.run()

    def passivate(self, user: str) -> bool:
        """Let an idle actor go."""
        resident = self._residents.get(user)
        snapshot = None if resident is None else self._passivation.passivate(user, resident)
        if snapshot is not None:
            self._runtime.spawn(self._snapshots.put({user: snapshot}))
        return snapshot is not None

    def serves(self, user: str) -> bool:
        """Return whether the user's shard is here."""
        return self._shards.of(user) is not None

    def sweep(self, user: str, going_on: AbstractContextManager[None]) -> bool:
        """Begin to look through a mailbox for what is too old; returns whether it is here."""
        if not self.serves(user):
            return False
        self._steps.spawn(_patient(self._sweeper.sweep(user), going_on))
        return True

    def empty_expired(self) -> None:
        """Begin to remove the content of what has disappeared."""
        self._steps.spawn(_patient(self._sweeper.empty_expired(), nullcontext()))

    def run(self) -> None:
        """Do what a turn of the event loop would."""
        try:
            self._steps.run()
        finally:
            if self._failures:  # what became of it, a dead letter, is not the news
                raise self._failures[0]

    def _dropped(self, shard: Shard) -> None:
        super()._dropped(shard)
        self._watcher.gave_up(shard.number)

    # --- what the run asks ---

    def has_all_of(self, shard: int, since: int) -> bool:
        """Return whether the shard is here since this map, with all that was in its log."""
        known = self._shards.open.get(shard)
        return known is not None and known.ready and known.since == since

    def lags(self, user: str, end: int) -> bool:
        """Return whether a user's actor is here, and has handled less than the shard's log has."""
        resident = self._residents.get(user)
        if resident is None or resident.actor is None:
            return False
        return resident.actor.head.handled < resident.shard.base + end - 1

    @property
    def tasks(self) -> list[Task]:
        """What waits for an answer of a store."""
        return self._steps.tasks

    @property
    def version(self) -> int:
        """Version of the map it goes by."""
        return self._shards.version

    @property
    def users(self) -> list[str]:
        """The users who are here."""
        return [user for user, _ in self._residents.items()]

    def actors(self) -> Iterator[tuple[str, UserActor]]:
        """Yield the users who are loaded, with their actors."""
        return self._residents.actors()

    @property
    def shards(self) -> list[int]:
        """The shards that are here."""
        return list(self._shards.open)

    def streams(self) -> list[StreamKey]:
        """Return the streams that are attached here."""
        return [info.key for info in self._streams.by_number.values()]

    def numbers(self, user: str) -> set[int]:
        """Return this host's numbers of a user's streams."""
        return {number for number, info in self._streams.by_number.items() if info.user == user}

    @property
    def at_rest(self) -> bool:
        """Whether nothing waits to be written or looked up."""
        return not self.tasks and not self.writes()


class HostStore(Slow):
    """MongoDB as a host sees it. No record of a run is one that cannot be handled."""

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Take dead letters."""
        raise Violation("poison", repr(letters))


async def _written(queue: WriteQueue) -> None:
    """Do one round of writes; what fails stays queued."""
    try:
        await queue.write()
    except Unavailable:
        return


async def _patient(work: Coroutine[Any, Any, object], going_on: AbstractContextManager[None]) -> None:
    """Do what is done again later when a store is away."""
    with going_on, suppress(Unavailable):
        await work


def _watched(actor: type[UserActor], watcher: Watcher, failures: list[Exception]) -> type[UserActor]:
    """Return actors that are watched, and whose failures are kept: a host goes on after one."""

    class Watched(actor):  # type: ignore[misc, valid-type]  # mypy takes no variable for a class
        def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
            try:
                effects: list[do.Effect] = super().handle(event, now_ms, stored)
                self._check(event)
                watcher.handled(self.user.user_id, event, effects)
            except Exception as exc:
                failures.append(exc)
                raise
            return effects

        def _check(self, event: ev.Event) -> None:
            try:
                self.check()
            except InvariantError as exc:
                story = (
                    f"at {self.user.user_id}, after {type(event).__name__} because of {event.cause}: {exc}"
                )
                raise Violation("invariant", story) from exc

    return Watched
