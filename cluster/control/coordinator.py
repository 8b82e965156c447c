"""The coordinator: the one that decides which roles there are, who serves what, and what becomes of the log.

It can be killed at any time: what it must not forget is in MongoDB (map, roster, the log's state), everything
else it asks the living roles again, and nothing moves because it was away.
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from actors.ray_actor import RELEASE, RoleAway, RoleHandle
from cluster.certificates_in_use import certificates_in_use
from cluster.control import server_name
from cluster.control.log_clients import RolesAsLogClients
from cluster.control.log_monitor import LogMonitor
from cluster.control.map_publisher import MapPublisher
from cluster.control.server_name import ServerNameMismatch
from cluster.control.shutdown import Shutdown
from cluster.log.lifecycle import LogLifecycle
from cluster.log.topics import LogMismatch, LogTopics
from cluster.log.trimmer import Trimmer
from cluster.operations.balancer import Balancer
from cluster.operations.plans import Plans
from cluster.operations.requests import Operations
from cluster.operations.rollout import OperationRefused, Rollout
from cluster.operations.roster import Roster
from cluster.operations.witness import Witness
from cluster.ops.ops import Ops
from cluster.ops.questions import Questions
from cluster.ops.view import View
from cluster.ops.wire import Seen
from cluster.settings import Settings
from cluster.supervision.fleet import Fleet
from cluster.supervision.membership import RUNNING, Membership, Patience
from cluster.supervision.roles import Roles, now_ms
from cluster.supervision.spares import SPARE, Spares
from cluster.supervision.supervisor import Supervisor
from roost.clock import Clock
from roost.errors import RoostError, Unavailable
from roost.tasks import BackgroundTasks, insist
from storage.ports import LogAdmin, Store
from telemetry import metrics

_RETRY_S: Final = 0.5
_LOG_WORK_S: Final = 15.0
_RESTART_S: Final = 0.2
"""Between the answer to who asked for a restart, and the restart."""

_LAST_S: Final = 5.0
"""Between the end of an upgrade and the restart: an operation is known by this process only."""

_STARTING: Final = "Nothing was changed: the coordinator is starting. Ask again in a moment."

_FIGURES: Final = ("users", "lag", "version", "streams", "accepted")

log = structlog.get_logger()


class Coordinator:
    """Builds the control plane and runs it; see `actors.service.Service`.

    Args:
        settings: The operator's.
        store: The map, the roster, the log's state.
        admin: Administers the log.
        fleet: Processes and machines.
        clock: The time.
        chores: Loops, by name, of which an installation needs one: they begin once the log is open.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        admin: LogAdmin,
        fleet: Fleet,
        clock: Clock,
        chores: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] | None = None,
    ) -> None:
        self._chores = dict(chores or {})
        self._settings, self._store, self._admin, self._fleet = settings, store, admin, fleet
        self._changed = asyncio.Event()
        self._tasks = BackgroundTasks()
        self._opened = False
        self._refused = ""
        self._servers: list[dict[str, Any]] = []
        cluster = settings.cluster
        patience = Patience(int(cluster.silence_s * 1000), int(cluster.grace_s * 1000))
        self._roles = roles = Roles(Membership(patience))
        topics = LogTopics(store.cluster, admin, settings.first_shards, clock)
        self._map = MapPublisher(store.cluster, roles, topics, self._changed.set)
        self._log = LogLifecycle(topics, RolesAsLogClients(roles, self._map.redraw))
        self._monitor = LogMonitor(self._log, roles, settings.log, self._tasks)
        self._roster = Roster(cluster.counts, store.cluster, roles, self._supervisor, fleet.machines)
        self._spares = Spares(
            cluster.spares, fleet.here.id, self._spare, self._roster.is_open, self._swapped, fleet.watch
        )
        rollout = Rollout(roles, self._roster, self._map.redraw)
        plans = Plans(roles, self._roster, rollout, self._log, self._spares.leave)
        self._witness = Witness(store.audit, clock)
        self._operations = Operations(plans, rollout, self._witness, first=clock())
        self._questions = Questions(roles)
        self._balancer = Balancer(roles, self._roster, rollout)
        files = settings.certificate_files
        certificates = partial(certificates_in_use, files) if files else None
        view = View(self._status, lambda: self._map.newest, roles, fleet.figures, certificates)
        self._ops = Ops(view, store, clock)

    # --- Service ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Look after every role that is wanted, and decide."""
        self._tasks.spawn(self._run(), "coordinator", essential=True)

    async def apply(self, shard_map: object) -> None:
        """The coordinator makes the map."""

    async def pause_writes(self) -> None:
        """The coordinator writes no records."""

    async def resume_writes(self) -> None:
        """See `pause_writes`."""

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        membership = self._roles.membership
        states = [(m.role, membership.state(m.name, now_ms())) for m in membership.members()]
        for role in {role for role, _ in states}:
            away = sum(each == role and state != RUNNING for each, state in states)
            metrics.ROLES_AWAY.labels(role).set(away)
        metrics.MAP_VERSION.set(self._map.newest.version)
        return metrics.exposition(metrics.COORDINATOR)

    async def status(self) -> dict[str, Any]:
        """Return what ``roost status --json`` prints, and ``ready`` and ``refused`` for who waits for us."""
        return self._status()

    def _status(self) -> dict[str, Any]:
        version = self._map.newest.version
        own = {"role": "coordinator", "name": "coordinator", "pid": os.getpid(), "state": RUNNING}
        rows = [own | {"node": self._fleet.here.address, "version": version, "release": RELEASE}]
        if dropped := self._log.topics.dropped:
            rows[0]["detail"] = (
                f"the log dropped {sum(dropped.values())} records before they were stored: "
                "raise the retention of the topic mailbox"
            )
        rows += [self._row(each) for each in self._roles.supervisors.values()] + self._spares.rows()
        return {
            "roles": rows + self._servers,
            "shards": self._log.topics.shards,
            "map_version": version,
            "nodes": self._roster.rows(),
            "ready": self._ready(),
            "refused": self._refused,
        }

    async def tell(self, message: dict[str, Any]) -> Any:
        """Take a message from who runs the embedded servers, or an operator.

        ``servers``: their rows; ``log_away``: the log's is gone; ``log_lost``: it is back, and empty;
        ``metrics``: those of a role; ``ask``: pass an operator's question on to roles (`Questions`);
        ``scale``, ``grow``, ``drain``, ``undrain``, ``upgrade``: start one, with ``restart`` followed by a
        restart of this process; ``operation``: how far it is; ``restart``: restart this process, which then
        runs what is installed; ``stop``: stop every role in order, ``kept`` saying whether the log keeps what
        is not stored, and return what was given up. ``by`` says for whom.
        """
        match message.get("act"):
            case "servers":
                self._servers = list(message["rows"])
            case "log_away":
                await self._log.away()
            case "log_lost":
                self._monitor.lost()
            case "stop":
                if (by := message.get("by")) is not None:
                    await self._witness.over(by, "down", True, "requested")  # noqa: FBT003 -- as in a message
                return await self._stop(kept=message["kept"])
            case "ops" | "metrics" | "ask":
                return await self._looked(message)
            case "restart":
                log.info("coordinator_restarts")
                asyncio.get_running_loop().call_later(_RESTART_S, self._fleet.restart)
            case "operation":
                return self._progress(message["number"])
            case "scale" | "grow" | "drain" | "undrain" | "upgrade":
                return self._operate(message)
            case other:
                raise RoostError("bad_request", f"The coordinator takes no message {other!r}.")
        return True

    async def stop(self) -> list[str]:
        """Stop every role in order; returns what was given up."""
        return await self._stop(kept=True)

    # --- its work ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        if not await self._open():
            return
        await self._roles.resume_writes()
        self._ops.start(self._tasks)
        self._tasks.spawn(self._balancer.run(), "balancer", essential=True)
        self._tasks.spawn(self._spares.run(self._ready), "spares", essential=True)
        if (keep := self._settings.log).keep_mb:
            now_s = asyncio.get_running_loop().time
            trimmer = Trimmer(self._store.cluster, self._admin, keep.keep_mb * 2**20, keep.keep_s, now_s)
            self._tasks.spawn(trimmer.run(), "trimming", essential=True)
        for name, chore in self._chores.items():
            self._tasks.spawn(chore(), name, essential=True)
        while True:
            self._changed.clear()
            try:
                await self._map.redraw()
                if self._map.published:
                    self._monitor.look()
            except Unavailable as exc:
                log.warning("decision_postponed", reason=exc.detail)
            self._ops.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.cluster.heartbeat_s / 2):
                    await self._changed.wait()

    async def _open(self) -> bool:
        """Read what was decided before, find or make the log; False if it is not ours to use."""

        async def opened() -> None:
            await self._store.prepare()
            await server_name.check(self._store.cluster, self._settings.server_name)
            await self._map.load()
            await self._log.open()
            await self._roster.open(self._map.owners)

        try:
            await insist(opened, "start_postponed", pauses=itertools.repeat(_RETRY_S))
        except (LogMismatch, ServerNameMismatch) as exc:
            self._refused = str(exc)
            log.error("start_refused", reason=self._refused)  # noqa: TRY400 -- a sentence, not a crash
            return False
        self._opened = True
        return True

    async def _looked(self, message: dict[str, Any]) -> Any:
        match message["act"]:
            case "ops":
                return self._ops.answer(msgspec.convert(message["seen"], Seen))
            case "metrics":
                return (await self._roles.supervisors[message["name"]].handle.metrics()).decode()
            case _:
                return await self._questions.ask(message["of"], message["say"])

    def _progress(self, number: int) -> dict[str, Any]:
        try:
            found: dict[str, Any] = msgspec.to_builtins(self._operations.progress(number))
        except OperationRefused as exc:
            return {"refused": exc.detail}
        return found

    def _operate(self, message: dict[str, Any]) -> dict[str, Any]:
        if not self._opened:  # by the roster of no one, the stored one would be replaced
            return {"refused": self._refused or _STARTING}
        by = message.get("by", "unknown")
        try:
            number, carried_out = self._operations.submit({message["act"]: message["what"]}, by)
        except OperationRefused as exc:
            refused = self._witness.over(by, message["act"], message["what"], f"refused: {exc.detail}")
            self._tasks.spawn(refused, "audit of a refusal")
            return {"refused": exc.detail}
        request, operation = {message["act"]: message["what"]}, self._operations.progress(number)
        self._ops.operations.began(number, request, by, operation)
        if message.get("restart"):
            carried_out = self._with_restart(number, carried_out)
        self._tasks.spawn(carried_out, f"{message['act']} {message['what']}")
        return {"number": number}

    async def _with_restart(self, number: int, carried_out: Coroutine[Any, Any, None]) -> None:
        """Restart this process, too, once the others are renewed, and whoever asked has seen that."""
        await carried_out
        if not self._operations.progress(number).failure:
            log.info("coordinator_restarts", after_s=_LAST_S)
            asyncio.get_running_loop().call_later(_LAST_S, self._fleet.restart)

    async def _stop(self, *, kept: bool) -> list[str]:
        given_up: list[str] = []
        if not await self._log.finished(_LOG_WORK_S):  # half remade, it can neither be drained nor be counted
            given_up.append("The log was being remade when the stop began; the next start finishes that.")
        await self._tasks.cancel()
        given_up += await Shutdown(self._roles, self._roles.shard_map, kept=kept).run()
        self._spares.end()
        return given_up

    # --- parts ------------------------------------------------------------------------------------

    def _supervisor(self, role: str, name: str, node_id: str) -> Supervisor:
        return Supervisor(
            role,
            name,
            spawn=lambda: self._fleet.spawn(role, name, node_id, self._roster.process_of(name)),
            membership=self._roles.membership,
            heartbeat_s=self._settings.cluster.heartbeat_s,
            changed=self._changed.set,
            spares=self._spares,
        )

    def _spare(self, name: str) -> RoleHandle:
        node_id = self._roster.place_for(SPARE)
        if not node_id:  # wherever it was made, it would be ended at once
            raise RoleAway("There is no machine that may have a spare.")
        return self._fleet.spawn(SPARE, name, node_id, self._roster.process_of(name))

    def _swapped(self, role_name: str, spare: str) -> None:
        text = f"{spare} takes the place of {role_name}, whose process ended."
        self._ops.line.note("spare_taken", role_name, text, "warning", more={"spare": spare})
        self._roster.swap(role_name, spare)
        stored = insist(self._roster.write_down, "roster_not_stored", pauses=itertools.repeat(_RETRY_S))
        self._tasks.spawn(stored, "storing swapped processes")

    def _ready(self) -> bool:
        """Return whether every role runs and has the newest map."""
        return self._map.published and self._roles.all_current

    def _row(self, supervisor: Supervisor) -> dict[str, Any]:
        row = self._roles.membership.row(supervisor.name, now_ms())
        if (shards := self._map.shards_of(supervisor.role, supervisor.name)) is not None:
            row["shards"] = shards
        figures = supervisor.figures
        row |= {name: figures[name] for name in _FIGURES if figures.get(name) is not None}
        if supervisor.failure:
            row["detail"] = supervisor.failure
        return row
