"""Runs the inboxes: the events of a user in order, one user's look-ups holding up no other user."""

import structlog

from actors.host.shards.commits import Commits
from actors.host.shards.tickets import Ticket
from actors.host.users.effect_executor import EffectExecutor
from actors.host.users.loader import Loader
from actors.host.users.residents import Resident, Residents, Waited
from actors.host.writes.dead_letters import DeadLetters
from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from roost.clock import Clock
from storage.records import users_of
from telemetry import traces

log = structlog.get_logger()


class Dispatcher:
    """Has actors handle their events, and the effects performed."""

    def __init__(
        self,
        residents: Residents,
        loader: Loader,
        executor: EffectExecutor,
        dead_letters: DeadLetters,
        commits: Commits,
        clock: Clock,
    ) -> None:
        self._residents, self._loader, self._executor = residents, loader, executor
        self._dead_letters, self._commits, self._clock = dead_letters, commits, clock

    def run(self) -> None:
        """Handle every event that can be handled; start the look-ups for the others."""
        absent: list[str] = []
        wanted: dict[str, list[ev.Unknown]] = {}
        now = self._clock()
        for user, resident in self._residents.take_runnable().items():
            resident.touched_ms = now
            if resident.actor is None:
                resident.waiting = True
                absent.append(user)
                continue
            lacks = self._work(resident, resident.actor, now)
            if lacks:
                resident.waiting = True
                wanted[user] = lacks
        self._loader.load(absent)
        if wanted:
            self._loader.look_up(wanted)

    def _work(self, resident: Resident, actor: UserActor, now: int) -> list[ev.Unknown]:
        """Handle the inbox up to an event that lacks something; returns what."""
        inbox = resident.inbox
        while inbox:
            lacks = actor.lacks(inbox[0][0])
            if lacks:
                return lacks
            self._handle(inbox.popleft(), actor, resident.shard.stored_seq, now)
        return []

    def _handle(self, waited: Waited, actor: UserActor, stored: int, now: int) -> None:
        event, shard, offset = waited
        if offset is not None:
            shard.backlog.unhandled -= 1
        try:
            effects = actor.handle(event, now, stored)
        except Exception as exc:
            # A record that breaks the rules must not come back each time; anything else is a bug to see.
            log.exception(
                "event_failed", user=actor.user.user_id, kind=type(event).__name__, cause=event.cause
            )
            if isinstance(event, ev.RecordArrived) and offset is not None:
                self._dead_letters.put(shard, offset, event.value, f"{type(exc).__name__}: {exc}")
            return
        for effect in effects:
            self._executor.perform(actor.user, effect, shard, offset)
        if offset is not None:
            if traces.tracer is not None and isinstance(event, ev.RecordArrived):
                sent = sum(isinstance(effect, do.Deliver) for effect in effects)
                key, record = (shard.number, offset), event.record
                users = users_of(record)
                traces.tracer.end(traces.DELIVER, key, record.cause, users, seq=event.seq, devices=sent)
            self._commits.finished([Ticket(shard.offsets, offset)])
