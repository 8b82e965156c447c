"""The coordinator: who is there, who serves what, and when the log begins anew.

It can be killed at any time: what it must not forget is in MongoDB (map, bases, phase), everything
else it asks the living roles again, and nothing moves because it was away.
Long, because every decision about the map and the log is taken here, by one loop.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
import structlog

from actors.ray_actor import RELEASE, RoleHandle
from actors.service import ClusterView, Node
from cluster.control.growth import stretched
from cluster.control.log_lifecycle import LogKeeper, LogRefused
from cluster.control.membership import RUNNING, Membership, Patience
from cluster.control.operations import Staffing
from cluster.control.roles import WRITERS, Crew, now_ms
from cluster.control.rollout import Refused
from cluster.control.roster import Seating
from cluster.control.shard_placement import moves, place, reaching
from cluster.control.shutdown import Closing
from cluster.control.spares import SPARE, Spares
from cluster.control.supervisor import RoleKeeper
from cluster.control.trimmer import Trimmer
from cluster.settings import Settings
from roost import clock
from roost.errors import RoostError, Unavailable
from storage.ports import LogAdmin, Store
from storage.records import ShardMap
from telemetry import metrics

_RETRY_S: Final = 0.5
_LOG_WORK_S: Final = 15.0
_FAREWELL_TO_SERVERS_S: Final = 5.0
_FAREWELL_S: Final = 0.2
"""Between the answer to who asked for a restart, and the restart."""

_RENEW_AGAIN_S: Final = 30.0
"""How long a renewal that did not come about is not tried again: everybody was held for it."""

_FIGURES: Final = ("users", "lag", "version", "streams", "accepted")

log = structlog.get_logger()


class Coordinator:
    """The one who decides; see `actors.service.Service`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        admin: LogAdmin,
        spawn: Callable[[str, str, str, str], RoleHandle],
        machines: Callable[[], Sequence[Node]],
        here: Node,
    ) -> None:
        self._settings, self._store, self._admin, self._spawn = settings, store, admin, spawn
        cluster = settings.cluster
        patience = Patience(int(cluster.silence_s * 1000), int(cluster.grace_s * 1000))
        self._membership = Membership(patience)
        self._crew = Crew(self._membership, self._decide)
        counts = {
            "host": cluster.hosts,
            "router": cluster.routers,
            "gateway": cluster.gateways,
            "pusher": cluster.pushers,
        }
        self._seating = Seating(counts, store.cluster, self._crew, self._keeper, machines)
        self._spares = Spares(cluster.spares, here.id, self._spare, self._seating.is_open, self._traded)
        self._log = LogKeeper(store.cluster, admin, settings.first_shards, self._crew, clock.now_ms)
        self._staff = Staffing(self._crew, self._seating, self._decide, self._log, self._spares.leave)
        self._map = ShardMap(0, (), (), ())
        self._view: ClusterView | None = None
        self._refused = ""
        self._here = here
        self._servers: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._deciding = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log_work: asyncio.Task[None] | None = None
        self._renew_after = 0.0
        self._batches_before: dict[str, int] = {}

    # --- Service ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin: look after every role that is wanted, and decide."""
        self._do(self._run(), "coordinator")

    async def apply(self, view: ClusterView) -> None:
        """The coordinator makes the map."""

    async def hold(self) -> None:
        """The coordinator writes no records."""

    async def release(self) -> None:
        """See `hold`."""

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        states = [(m.role, self._membership.state(m.name, now_ms())) for m in self._membership.members()]
        for role in {role for role, _ in states}:
            away = sum(each == role and state != RUNNING for each, state in states)
            metrics.ROLES_AWAY.labels(role).set(away)
        metrics.MAP_VERSION.set(self._map.version)
        return metrics.exposition(metrics.COORDINATOR)

    async def status(self) -> dict[str, Any]:
        """Return what ``roost status --json`` prints, and ``ready`` and ``refused`` for who waits for us."""
        own = {"role": "coordinator", "name": "coordinator", "pid": os.getpid(), "state": RUNNING}
        rows = [own | {"node": self._here.address, "version": self._map.version, "release": RELEASE}]
        if self._log.dropped:
            rows[0]["detail"] = (
                f"the log dropped {sum(self._log.dropped.values())} records before they were stored: "
                "raise the retention of the topic mailbox"
            )
        rows += [self._row(keeper) for keeper in self._crew.keepers.values()] + self._spares.rows()
        return {
            "roles": rows + self._servers,
            "shards": self._log.shards,
            "map_version": self._map.version,
            "nodes": self._seating.rows(),
            "ready": self._ready(),
            "refused": self._refused,
        }

    async def tell(self, message: dict[str, Any]) -> Any:
        """Take a message from who runs the embedded servers, or a wish.

        ``servers``: their rows; ``log_away``: the log's is gone; ``log_lost``: it is back, and empty;
        ``metrics``: those of a role; ``scale``, ``grow``, ``drain``, ``undrain``, ``upgrade``: begin a work;
        ``work``: how far it is; ``restart``: begin a new life, which runs what is installed now;
        ``stop``: stop every role in order, ``kept`` saying whether the log keeps what is not stored, and
        return what was given up.
        """
        match message.get("act"):
            case "servers":
                self._servers = list(message["rows"])
            case "log_away":
                await self._log.away()
            case "log_lost":
                self._do(self._insist(self._log.lost), "log lost")
            case "stop":
                return await self._close(kept=message["kept"])
            case "metrics":
                return (await self._crew.keepers[message["name"]].handle.metrics()).decode()
            case "restart":
                log.info("coordinator_restarts")
                asyncio.get_running_loop().call_later(_FAREWELL_S, os._exit, 1)
            case "scale" | "grow" | "drain" | "undrain" | "upgrade" | "work":
                return self._wish(message)
            case other:
                raise RoostError("bad_request", f"The coordinator takes no message {other!r}.")
        return True

    def _wish(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            if message["act"] == "work":
                found: dict[str, Any] = msgspec.to_builtins(self._staff.work(message["number"]))
                return found
            number, carried_out = self._staff.begin({message["act"]: message["what"]})
        except Refused as exc:
            return {"refused": exc.detail}
        task = self._do(carried_out, f"{message['act']} {message['what']}")
        if message["act"] == "grow":
            self._log_work = task
        return {"number": number}

    async def stop(self) -> list[str]:
        """Stop every role in order, then let go of the servers; returns what was given up."""
        return await self._close(kept=True)

    async def _close(self, *, kept: bool) -> list[str]:
        given_up: list[str] = []
        if self._log_work is not None:  # a log that is half made anew can neither be drained nor be counted
            await asyncio.wait([self._log_work], timeout=_LOG_WORK_S)
            if not self._log_work.done():
                given_up.append(
                    "The log was being made anew when the stop began; the next start finishes that."
                )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        given_up += await Closing(self._crew, self._view, kept=kept).run()
        self._spares.end()
        try:
            async with asyncio.timeout(_FAREWELL_TO_SERVERS_S):
                await self._admin.close()
                await self._store.close()
        except (Unavailable, TimeoutError) as exc:
            log.warning("not_closed", reason=str(exc) or type(exc).__name__)
        return given_up

    # --- deciding ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        if not await self._open():
            return
        heartbeat_s = self._settings.cluster.heartbeat_s
        while True:
            self._changed.clear()
            try:
                await self._decide()
                await self._look_at_log()
            except Unavailable as exc:
                log.warning("decision_postponed", reason=exc.detail)
            await _first(self._changed.wait(), heartbeat_s / 2)

    async def _open(self) -> bool:
        """Read what was decided before, find or make the log."""
        while True:
            try:
                await self._store.prepare()
                self._map = await self._store.cluster.shard_map() or self._map
                await self._log.open()
                drawn = self._map
                await self._seating.open({*drawn.hosts, *drawn.routers, *drawn.pushers})
            except Unavailable as exc:
                log.warning("start_postponed", reason=exc.detail)
                await asyncio.sleep(_RETRY_S)
            except LogRefused as exc:
                self._refused = str(exc)
                log.error("log_refused", reason=self._refused)  # noqa: TRY400 -- a sentence, not a crash
                return False
            else:
                await self._crew.release()
                self._do(self._staff.watch(), "staffing")
                self._do(self._spares.run(self._ready), "spares")
                if self._settings.log.keep_mb:
                    self._do(self._trimmer().run(), "trimming")
                return True

    async def _decide(self) -> None:
        """Draw the map anew; if anything of it changed, store it and show it to everybody."""
        async with self._deciding:
            if self._view is None and not self._membership.settled(now_ms()):
                return
            wanted = self._drawn()
            if "" in wanted.hosts + wanted.routers + wanted.pushers:
                return  # there is nobody yet for some of it
            if self._view is not None and wanted == msgspec.structs.replace(
                self._view, version=wanted.version
            ):
                return
            await self._adopt(wanted)

    def _owners(self, shards: int) -> dict[str, tuple[str, ...]]:
        """Return who has so many shards by the newest map, which may be of fewer, by role."""
        held = {"host": self._map.hosts, "router": self._map.routers, "pusher": self._map.pushers}
        return {role: stretched(names, shards) for role, names in held.items()}

    def _drawn(self) -> ClusterView:
        owners = self._owners(len(self._log.bases))
        now = now_ms()
        serving = {role: self._membership.serving(role, held, now) for role, held in owners.items()}
        reach = {each.name: each.figures for each in self._crew.of("router")}
        heard = {name: (of.get("silent_s", 0.0), of.get("answering_s", 0.0)) for name, of in reach.items()}
        serving["router"] = reaching(serving["router"], heard)
        placed = {role: place(held, serving[role]) for role, held in owners.items()}
        hosts = [
            m for m in self._membership.members("host") if m.alive is not None and m.name in serving["host"]
        ]
        return ClusterView(
            version=self._map.version + 1,
            hosts=placed["host"],
            routers=placed["router"],
            pushers=placed["pusher"],
            bases=self._log.bases,
            pushes=self._log.pushes,
            addresses={m.name: m.alive.address for m in hosts if m.alive and m.alive.address},
            incarnations={m.name: m.alive.incarnation if m.alive else "" for m in self._membership.members()},
            records=min((m.alive.records for m in self._membership.members() if m.alive), default=1),
            since=self._map.since_with(placed["host"], self._map.version + 1),
        )

    async def _adopt(self, view: ClusterView) -> None:
        drawn = ShardMap(
            version=view.version,
            hosts=view.hosts,
            routers=view.routers,
            pushers=view.pushers,
            addresses=view.addresses,
            incarnations=view.incarnations,
            records=view.records,
            since=view.since,
        )
        if not await self._store.cluster.put_shard_map(drawn):
            # Another life of ours was faster, or the reply to our own write was lost: go on from there.
            self._map = await self._store.cluster.shard_map() or self._map
            self._changed.set()
            return
        before = self._owners(view.shards)
        for role, after in (("host", drawn.hosts), ("router", drawn.routers), ("pusher", drawn.pushers)):
            if moved := moves(before[role], after):
                metrics.MAP_MOVES.labels(role).inc(moved)
                log.info("shards_moved", moved_role=role, shards=moved, version=view.version)
        self._map, self._view = drawn, view
        log.info("map_changed", version=view.version, hosts=sorted(view.addresses))
        self._crew.show(view)

    # --- the log ----------------------------------------------------------------------------------

    async def _look_at_log(self) -> None:
        """Act on what the routers say about the log: that it is gone, or that it is full.

        Their word counts by the base under which they read a shard: what was said of the log before the
        present one counts no more, and what is said of the present one counts at once.
        """
        working = self._log_work is not None and not self._log_work.done()
        if self._view is None or self._log.holding or working:
            return
        heard = [each.figures for each in self._crew.of("router")]
        lost = sorted(
            {shard for of in heard for shard in of.get("lost", ()) if self._of_present_log(of, shard)}
        )
        ends = [(of, shard, end) for of in heard for shard, end in of.get("ends", {}).items()]
        records = sum(end for of, shard, end in ends if self._of_present_log(of, shard))
        before = self._batches_before
        batches = sum(count - before.get(life, 0) for life, count in self._batches().items())
        most = self._settings.log
        full = 0 < most.max_records < records or 0 < most.max_batches < batches
        if lost:
            self._log_work = self._do(self._insist(lambda: self._log.lost(lost)), "log lost")
        elif full and asyncio.get_running_loop().time() > self._renew_after:
            self._log_work = self._do(self._renew(), "log renewal")

    def _of_present_log(self, figures: dict[str, Any], shard: int) -> bool:
        base: int | None = figures.get("bases", {}).get(shard)
        return base == self._log.bases[shard]

    def _batches(self) -> dict[str, int]:
        """Return how many batches each life of a writer has appended."""
        return {each.figures_of[0]: each.figures.get("batches", 0) for each in self._crew.of(*WRITERS)}

    async def _renew(self) -> None:
        self._renew_after = asyncio.get_running_loop().time() + _RENEW_AGAIN_S
        try:
            if await self._log.renew():
                self._batches_before = self._batches()
                self._renew_after = 0.0
        except Unavailable as exc:
            log.warning("log_renewal_postponed", reason=exc.detail)

    def _trimmer(self) -> Trimmer:
        keep = self._settings.log
        clock_s = asyncio.get_running_loop().time
        return Trimmer(self._store.cluster, self._admin, keep.keep_mb * 2**20, keep.keep_s, clock_s)

    async def _insist(self, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await call()
            except Unavailable as exc:
                log.warning("log_still_away", reason=exc.detail)
                await asyncio.sleep(_RETRY_S)

    # --- parts ------------------------------------------------------------------------------------

    def _keeper(self, role: str, name: str, node_id: str) -> RoleKeeper:
        return RoleKeeper(
            role,
            name,
            spawn=lambda: self._spawn(role, name, node_id, self._seating.seat(name)),
            membership=self._membership,
            heartbeat_s=self._settings.cluster.heartbeat_s,
            changed=self._changed.set,
            spares=self._spares,
        )

    def _spare(self, name: str) -> RoleHandle:
        return self._spawn(SPARE, name, self._seating.place_for(SPARE), self._seating.seat(name))

    def _traded(self, role_name: str, spare: str) -> None:
        self._seating.trade(role_name, spare)
        self._do(self._insist(self._seating.write_down), "writing down who sits where")

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("task_failed", task=task.get_name(), exc_info=task.exception())

    def _ready(self) -> bool:
        """Whether every role runs and has the newest map."""
        keepers = self._crew.keepers.values()
        there = bool(keepers) and all(self._crew.running(k) and k.current for k in keepers)
        return self._view is not None and there

    def _row(self, keeper: RoleKeeper) -> dict[str, Any]:
        [member] = [m for m in self._membership.members(keeper.role) if m.name == keeper.name]
        row: dict[str, Any] = {
            "role": keeper.role,
            "name": keeper.name,
            "pid": member.alive.pid if member.alive else None,
            "node": member.alive.node if member.alive else None,
            "state": self._membership.state(keeper.name, now_ms()),
            "release": member.alive.release if member.alive else None,
        }
        owners = {"host": self._map.hosts, "router": self._map.routers, "pusher": self._map.pushers}
        if keeper.role in owners:
            row["shards"] = owners[keeper.role].count(keeper.name)
        row |= {name: keeper.figures[name] for name in _FIGURES if keeper.figures.get(name) is not None}
        if not member.may_own:
            row["detail"] = "coming or leaving"
        if keeper.failure:
            row["detail"] = keeper.failure
        return row


async def _first(wait: Coroutine[Any, Any, Any], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wait
    except TimeoutError:
        return
