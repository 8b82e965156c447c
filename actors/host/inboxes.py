"""Inboxes: events of a user in order, look-ups where one lacks something, everybody else goes on."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

import structlog

from actors.host.shard import Shard
from actors.host.state import HostState, Resident
from actors.host.writer import Ticket
from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from telemetry import metrics, traces

log = structlog.get_logger()

_LOADED_TOGETHER: Final = 25
"""Users in one look-up. The embedded store compares each document that it finds with every name in the
question: it took 120 us for each of 12,000 documents of 200 users, and takes 40 if it is asked for 25."""

_LOADS: Final = 2
"""Look-ups of so many actors in progress at once. If all began at once, all would be over at the end; this
way who was asked for first is there first. Each is many questions to the store, which two keep busy."""

Wanted = TypeVar("Wanted")
Found = TypeVar("Found")


class Inboxes(HostState):
    """From an event in an inbox to effects performed."""

    def _turn(self) -> None:
        """Handle every event that can be handled; start the look-ups for the others."""
        runnable, self._runnable = self._runnable, {}
        absent: list[str] = []
        wanted: dict[str, list[ev.Unknown]] = {}
        now = self._clock()
        for user, resident in runnable.items():
            resident.touched_ms = now
            if resident.actor is None:
                resident.waiting = True
                absent.append(user)
                continue
            lacks = self._work(user, resident, resident.actor, now)
            if lacks:
                resident.waiting = True
                wanted[user] = lacks
        self._load_soon(absent)
        if wanted:
            self._spawn(self._look_up(wanted))

    def _load_soon(self, users: Iterable[str]) -> None:
        self._to_load.update(dict.fromkeys(users))
        # Those that begin now are not counted by how many there are: each takes as many as it may.
        for _ in range(min(_LOADS - self._loading, -(-len(self._to_load) // _LOADED_TOGETHER))):
            self._loading += 1
            self._spawn(self._keep_loading())

    def _work(self, user: str, resident: Resident, actor: UserActor, now: int) -> list[ev.Unknown]:
        inbox = resident.inbox
        while inbox:
            event, shard, offset = inbox[0]
            lacks = actor.lacks(event)
            if lacks:
                return lacks
            inbox.popleft()
            self._handle(user, (event, shard, offset), actor, resident.shard.stored_seq, now)
        return []

    def _handle(
        self, user: str, waited: tuple[ev.Event, Shard, int | None], actor: UserActor, stored: int, now: int
    ) -> None:
        event, shard, offset = waited
        if offset is not None:
            shard.backlog.unhandled -= 1
        try:
            effects = actor.handle(event, now, stored)
        except Exception as exc:
            # A record that breaks the rules must not come back for ever; anything else is a bug to see.
            log.exception("event_failed", user=user, kind=type(event).__name__, cause=event.cause)
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
        if traces.tracer is not None and isinstance(event, ev.RecordArrived):
            sent = sum(isinstance(effect, do.Deliver) for effect in effects)
            traces.tracer.end(
                traces.DELIVER, (shard.number, offset), event.record.cause, seq=event.seq, devices=sent
            )
        if offset is not None:
            self._finished([Ticket(shard.offsets, offset)])

    def _has_to_wait(self, user: str) -> bool:
        """Say whether the log before is being stored, and none of its records waits for this very actor."""
        resident = self._residents.get(user)
        if resident is None or not resident.shard.settling:
            return False
        return all(shard is resident.shard for _, shard, _ in resident.inbox)

    async def _keep_loading(self) -> None:
        """Load those who wait for their actors, in the order in which they were asked for."""
        try:
            while self._to_load:
                some = list(islice(self._to_load, _LOADED_TOGETHER))
                for user in some:
                    del self._to_load[user]
                await self._load(some)
        finally:
            self._loading -= 1

    async def _load(self, users: list[str]) -> None:
        """Load actors; those that wait for the log before do not hold up those that it waits for."""
        absent: dict[str, Resident] = {}
        late: list[str] = []
        for user in users:
            resident = self._residents.get(user)
            if resident is None or resident.actor is not None:
                continue
            if self._has_to_wait(user):
                late.append(user)
            else:
                absent[user] = resident
        if late:
            log.info("activation_waits", users=len(late), reason="the log before is being stored")
            self._spawn(self._load_later(late))
        if absent:
            await self._load_now(absent)

    async def _load_later(self, users: list[str]) -> None:
        await self._pause()
        self._load_soon(users)

    async def _pause(self) -> None:
        await asyncio.sleep(0.05)

    async def _load_now(self, residents: dict[str, Resident]) -> None:
        floors = {user: resident.shard.stored_seq + 1 for user, resident in residents.items()}
        with metrics.ACTIVATION_SECONDS.time():
            loaded = await self._one_by_one(floors, self._activation.load)
        metrics.ACTIVATIONS.inc(len(loaded))
        for user, resident in residents.items():
            if self._residents.get(user) is not resident:
                continue  # its shard went meanwhile, and may be here again
            if user in loaded:
                resident.actor = self._new_actor(loaded[user])
                resident.waiting = False
                self._run(user, resident)
            else:
                self._give_up(user, resident)

    def _new_actor(self, loaded: ev.Loaded) -> UserActor:
        return UserActor(loaded)

    async def _look_up(self, wanted: dict[str, list[ev.Unknown]]) -> None:
        facts = await self._one_by_one(wanted, self._activation.facts)
        for user in wanted:
            resident = self._residents.get(user)
            if resident is None or resident.actor is None:
                continue
            if user in facts:
                resident.actor.learn(facts[user])
                resident.waiting = False
                self._run(user, resident)
            else:
                self._give_up(user, resident)

    async def _one_by_one(
        self, wanted: dict[str, Wanted], ask: Callable[[dict[str, Wanted]], Awaitable[dict[str, Found]]]
    ) -> dict[str, Found]:
        """Ask for all users at once; if that fails for a reason of its own, for each alone."""
        try:
            return await self._insist(lambda: ask(wanted))
        except Exception:
            log.exception("look_up_failed", users=len(wanted))
            if len(wanted) == 1:
                return {}
        found: dict[str, Found] = {}
        for user, one in wanted.items():
            found |= await self._one_by_one({user: one}, ask)
        return found

    def _give_up(self, user: str, resident: Resident) -> None:
        """There is no such user, or it cannot be loaded: nobody shall wait for it for ever."""
        del self._residents[user]
        for event, shard, offset in resident.inbox:
            if isinstance(event, ev.RecordArrived) and offset is not None:
                shard.backlog.unhandled -= 1
                self._poison(shard, offset, event.value, "the recipient cannot be loaded")
            else:
                self._outlets.refuse_event(event, "unknown_user", "there is no such user")

    async def _read_page(self, user: str, page: do.ReadPage) -> None:
        items, through, missed = await self._insist(
            lambda: self._activation.page(user, page.after, page.upto, page.limit)
        )
        if missed:
            log.warning("entries_missed", user=user, after=page.after, upto=page.upto)
            metrics.MISSED_ENTRIES.inc()
        if user in self._residents:
            self._post(user, ev.PageRead(page.reader, items, through, missed))
