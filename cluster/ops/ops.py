"""What operators are shown live: looks at the cluster, keeps what it saw, and answers gateways that ask.

Nothing is asked of a role for it: its figures came with its last heartbeat.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from actors.service import INCARNATION, RELEASE
from cluster.ops.acts import Acts
from cluster.ops.alarms import Alarms, Situation
from cluster.ops.changes import Changes, log_changes
from cluster.ops.collector import Collected, Collector
from cluster.ops.line import EventLine
from cluster.ops.looks import Look, RoleLook
from cluster.ops.operations import KnownOperations
from cluster.ops.picture import name_of, shards_of
from cluster.ops.store_watch import StoreWatch
from cluster.ops.view import Certificates, View
from cluster.ops.wire import STEP_S, Answer, Seen, State
from cluster.supervision.membership import RUNNING
from cluster.supervision.roles import now_ms as monotonic_ms
from roost.clock import Clock
from roost.tasks import BackgroundTasks
from storage.ports import Store

_WHOSE: Final = {"clients": "that of clients", "node": "that of the nodes", "ca": "that of their authority"}
_SERVERS: Final = frozenset({"kafka", "mongo", "redis", "fcm"})
_CERTIFICATES_EVERY_S: Final = 3600.0
_DAY_MS: Final = 86_400_000

log = structlog.get_logger()


def _seconds() -> float:
    return asyncio.get_running_loop().time()


@contextmanager
def _harmless() -> Iterator[None]:
    """Log what fails: who keeps the roles running does not end for the picture of them."""
    try:
        yield
    except Exception:
        log.exception("picture_not_drawn")


class Ops:
    """The live picture.

    Args:
        view: What is looked at.
        store: Keeps the events; has the audit log.
        clock: The time.

    Attributes:
        line: The line of events.
        operations: What operators have asked for.
    """

    def __init__(self, view: View, store: Store, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self.line = EventLine(store.events, clock)
        self.operations = KnownOperations(self.line, clock)
        self._acts = Acts(store.audit, self.line)
        self._collector = Collector(view, clock, _seconds)
        self._store = StoreWatch(store.cluster, _seconds)
        self._alarms = Alarms()
        self._changes: Changes | None = None
        self._started: list[str] = []
        self._began_ms: dict[str, int] = {}
        self._days_left: dict[str, int] = {}

    def start(self, tasks: BackgroundTasks) -> None:
        """Begin; the newest map is by now the one that the coordinator before us stored."""
        self._changes = Changes(self._view.shard_map())
        self.line.note("role_started", "coordinator", "coordinator started.", more={"role": "coordinator"})
        tasks.spawn(self.line.run(), "events", essential=True)
        tasks.spawn(self._acts.run(), "acts", essential=True)
        tasks.spawn(self._steps(), "figures", essential=True)
        tasks.spawn(self._store.run(), "watch of the store", essential=True)
        if self._view.certificates is not None:
            tasks.spawn(self._watch_certificates(self._view.certificates), "certificates", essential=True)

    def look(self) -> None:
        """See what changed since the last look; raises nothing."""
        if self._changes is not None:
            with _harmless():
                self._look(self._changes)

    def _look(self, changes: Changes) -> None:
        self.operations.look()
        status = self._view.status()
        servers = {row["name"]: row for row in status["roles"] if row["role"] in _SERVERS}
        nodes = {node["id"]: node for node in status["nodes"]}
        look = Look(self._clock(), self._roles(), nodes, servers, self._view.shard_map())
        for noted in changes.since(look):
            self.line.note(noted.kind, noted.subject, noted.text, noted.level, more=noted.more)
            if noted.kind in {"role_started", "role_replaced"} and "again" not in noted.more:
                self._began_ms[noted.subject] = self._clock()
                self._started.append(noted.subject)

    def answer(self, seen: Seen) -> Answer:
        """Return what is new to a gateway that has seen this."""
        if seen.coordinator != INCARNATION:
            seen = Seen(coordinator=INCARNATION, history=True)
        state = self._state()
        name = name_of(state)
        return Answer(
            coordinator=INCARNATION,
            release=RELEASE,
            now_ms=self._clock(),
            state_of=name,
            told=self.line.told,
            state=None if seen.state == name else state,
            figures=self._collector.after(seen.figures_ms),
            events=self.line.last() if seen.history else self.line.after(seen.told),
            operations=self.operations.states(),
            history=self._collector.history() if seen.history else None,
        )

    # --- its work ---------------------------------------------------------------------------------

    async def _steps(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            with _harmless():
                self._judge(self._collector.step({"dead_letters": self._store.dead_letters}))
            due_s = max(due_s + STEP_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    def _judge(self, step: Collected) -> None:
        for name, up_s in step.up_s.items():  # of those that began before we did
            self._began_ms.setdefault(name, self._clock() - round(up_s * 1000))
        state = self._state()
        situation = Situation(
            now_ms=state.at_ms,
            values=step.values,
            counted=step.counted,
            rows=state.roles,
            own=step.roles,
            nodes=state.nodes,
            store_away_s=self._store.away_s,
            started=self._started,
            days_left=self._days_left,
        )
        for noted in log_changes(step.counted):
            self.line.note(noted.kind, noted.subject, noted.text, noted.level, more=noted.more)
        for change in self._alarms.judge(situation):
            alarm = change.alarm
            more = {"runbook": alarm.runbook}
            if change.raised:
                self.line.note("alarm_raised", alarm.name, alarm.text, alarm.level, more=more)
            else:
                self.line.note("alarm_cleared", alarm.name, f"{alarm.name} no longer holds.", more=more)
        self._started = []

    async def _watch_certificates(self, read: Certificates) -> None:
        while True:
            for row in await asyncio.to_thread(read):
                if row["ends_at_ms"] is None:
                    log.warning("certificate_not_read", what=row["purpose"], reason=row["state"])
                    continue
                self._days_left[_WHOSE[row["purpose"]]] = (row["ends_at_ms"] - self._clock()) // _DAY_MS
            await asyncio.sleep(_CERTIFICATES_EVERY_S)

    # --- what there is ----------------------------------------------------------------------------

    def _state(self) -> State:
        status, now_ms = self._view.status(), self._clock()
        rows = [self._row(row) for row in status["roles"]]
        running = {row["name"] for row in rows if row["state"] == RUNNING}
        return State(
            at_ms=now_ms,
            map_version=status["map_version"],
            ready=status["ready"],
            shards=shards_of(self._view.shard_map(), running),
            nodes=self._collector.machines.states(status["nodes"], rows, now_ms),
            roles=rows,
            alarms=self._alarms.raised,
        )

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        began_ms = self._began_ms.get(row["name"])
        return row if began_ms is None else row | {"started_at_ms": began_ms}

    def _roles(self) -> dict[str, RoleLook]:
        roles, now_ms = self._view.roles, monotonic_ms()
        looks = {}
        for member in roles.membership.members():
            alive, supervisor = member.alive, roles.supervisors.get(member.name)
            looks[member.name] = RoleLook(
                role=member.role,
                state=roles.membership.state(member.name, now_ms),
                incarnation=alive.incarnation if alive else "",
                pid=alive.pid if alive else None,
                node=alive.node if alive else None,
                release=alive.release or None if alive else None,
                failure=supervisor.failure if supervisor else "",
            )
        return looks
