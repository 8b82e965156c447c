"""One world of the control plane: machines, servers, processes, and one coordinator after another."""

import asyncio
from functools import cache, partial
from random import Random
from typing import Any, cast

from msgspec import Struct

from actors.service import Node, Service
from cluster.consumers.pusher import Pusher
from cluster.consumers.router import Router
from cluster.consumers.wakeup import Waker
from cluster.control.coordinator import Coordinator
from cluster.role_shell.fence import fenced
from cluster.settings import Settings
from cluster.supervision.fleet import Fleet
from sim.deterministic.control.fleet import HEAD, ExitWatch, Machines
from sim.deterministic.control.links import connections_of
from sim.deterministic.control.log import Broker, Reader, Writer, admin_of
from sim.deterministic.control.network import Network
from sim.deterministic.control.operators import Operator
from sim.deterministic.control.process import Process
from sim.deterministic.control.services import Gateway, Host, Provider
from sim.deterministic.control.store import Database, Door, Marks
from sim.deterministic.control.truth import Truth
from sim.deterministic.control.virtual_time import Life, VirtualLoop
from storage.shard_map import ShardMap
from storage.topics import MAILBOX, PUSH, PUSHERS, ROUTERS

_START_MS = 1_800_000_000_000
_RESTART_S = (0.3, 2.0)
_LOOK_EVERY_S = 1.0

LIVES_S = 40.0
"""For so long a role may have two processes: until one that was never shown a map gives up."""

OVERLAP_S = 8.0
"""For so long a host that was cut off may believe that it has a shard: until it is in doubt."""


class Plan(Struct, frozen=True):
    """How large a world is, and how fast.

    Attributes:
        seed: For what is drawn while time passes: latencies, traffic.
        nodes: Number of machines.
        hosts: Number of hosts at the start; likewise the others.
        shards: Number of shards at the start.
        slowest_ms: How long a way takes at most.
        start_ms: How long a process takes to start at most.
        renewed: The log is made again when it has so many records; 0: never.
        exam: At rest every role is killed at once, and the world has to come to rest again.
    """

    seed: int
    nodes: int
    hosts: int
    routers: int
    gateways: int
    pushers: int
    spares: int
    shards: int
    slowest_ms: int
    start_ms: int
    renewed: int
    exam: bool


@cache
def _settings() -> Settings:
    return Settings()


def settings_of(plan: Plan) -> Settings:
    """Return the coordinator's settings."""
    cluster = {
        "hosts": plan.hosts,
        "routers": plan.routers,
        "gateways": plan.gateways,
        "pushers": plan.pushers,
        "spares": plan.spares,
    }
    kept = {"max_records": plan.renewed, "keep_mb": 0 if plan.renewed else 8, "keep_s": 30.0}
    settings = _settings().changed({"cluster": cluster, "log": kept})
    return settings.model_copy(update={"shards": plan.shards})


class World:
    """Everything that a run consists of.

    Attributes:
        truth: What must hold.
        coordinator: The present one, None while there is none.
        incumbent: Its life.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rng = plan, Random(plan.seed)  # noqa: S311 -- a run is to be repeated
        self.settings = settings_of(plan)
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.network = Network(self.loop, self.rng, plan.slowest_ms / 1000)
        self.network.ended = self._ended
        self.truth = Truth()
        self.loop.set_exception_handler(self._task_failed)
        self.network.noted = self.truth.note
        self.database, self.broker, self.marks = Database(self.truth), Broker(self.truth), Marks(self.truth)
        self.truth.watch(self.database.documents)
        self.machines = Machines(self.network, self.rng, self._made, plan.start_ms / 1000)
        self._joined = 0
        for _ in range(plan.nodes):
            self.join()
        self.push_troubles = 0
        self.coordinator: Coordinator | None = None
        self.incumbent: Life | None = None
        self.coordinators = 0
        self._overlaps: dict[int, float] = {}
        self._doubles: dict[str, float] = {}
        self.start_coordinator()
        self.operator = Operator(self)

    @property
    def digest(self) -> str:
        """What tells one run from another: a hash over all that was done to the servers."""
        return self.truth.digest

    def _task_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A role or the coordinator lost a loop that it cannot do without, or a callback of it failed."""
        cause, task = context.get("exception"), context.get("task", "")
        self.truth.fail("task", f"{context['message']} {cause!r} {task}")

    def clock(self) -> int:
        """Return the time, in Unix milliseconds."""
        return _START_MS + int(self.loop.time() * 1000)

    def join(self) -> None:
        """One more machine joins."""
        self._joined += 1
        number = self._joined
        self.machines.join(Node(f"n{number}", f"10.0.0.{number}", f"node{number}", 4.0, head=number == 1))

    # --- the coordinator ---

    def start_coordinator(self) -> None:
        """Have a coordinator, unless there is one."""
        if self.incumbent is not None and not self.incumbent.dead:
            return
        self.coordinators += 1
        self.incumbent = one = Life(f"coordinator#{self.coordinators}", HEAD)
        one.context.run(self._build, one)

    def _build(self, one: Life) -> None:
        fleet = Fleet(
            spawn=self.machines.spawn,
            machines=self.machines.nodes,
            here=self.machines.machines[HEAD].node,
            watch=cast("Any", partial(ExitWatch, self.machines)),
            restart=partial(self.kill_coordinator, one),
        )
        store = cast("Any", Door(self.network, "store", self.database))

        async def begin() -> None:
            coordinator = Coordinator(
                self.settings, store, admin_of(self.network, self.broker), fleet, self.clock
            )
            self.coordinator = coordinator
            await coordinator.start()

        self.loop.create_task(begin(), context=one.context.copy())

    def kill_coordinator(self, one: Life | None = None) -> None:
        """End a coordinator where it stands; Ray starts it again."""
        one = one or self.incumbent
        if one is not None and not one.dead:
            self.loop.end_life(one)
            self._ended(one)

    def _ended(self, one: Life) -> None:
        if one is self.incumbent:
            self.coordinator = None
            self.loop.call_later(self.rng.uniform(*_RESTART_S), self.start_coordinator)

    # --- roles ---

    def _made(self, process: Process) -> None:
        process.build = self._service

    async def _service(self, role: str, name: str, process: Process) -> Service:
        store = cast("Any", Door(self.network, "store", self.database))
        await asyncio.sleep(self.network.latency_s())
        inner: Any
        match role:
            case "gateway":
                writer = Writer(self.network, self.broker)
                inner = Gateway(name, writer, store, self.truth, self.rng, process.incarnation)
            case "host":
                writer = Writer(self.network, self.broker)
                inner = Host(name, (process.life.node, process.pid), writer, store, self.truth)
            case "router":
                links = connections_of(name, process, self.machines, self.network)
                inner = Router(name, Reader(self.network, self.broker, MAILBOX, ROUTERS), store, links)
            case _:
                inner = Pusher(name, Reader(self.network, self.broker, PUSH, PUSHERS), self._waker(store))
        process.inner = inner
        return fenced(inner, name, store, partial(self._replaced, process), process.incarnation)

    def _replaced(self, process: Process) -> None:
        process.life.replaced = True
        self.machines.die(process)

    def _waker(self, store: Any) -> Waker:
        return Waker(
            Writer(self.network, self.broker),
            store,
            cast("Any", Door(self.network, "cache", self.marks)),
            {"fcm": Provider(self.truth, self._push_fails, self.network.latency_s())},
            clock=self.clock,
            random=self.rng.random,
        )

    def _push_fails(self) -> bool:
        self.push_troubles, fails = max(0, self.push_troubles - 1), self.push_troubles > 0
        return fails

    # --- time ---

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass, and look every second whether all is as it must be."""
        while seconds > 0 and self.truth.violation is None:
            part = min(seconds, _LOOK_EVERY_S)
            self.loop.pass_time(part)
            seconds -= part
            self._check_owners()
            self._check_lives()

    def _check_lives(self) -> None:
        """Look for how long a role has had two processes that run and are not cut off."""
        lives: dict[str, int] = {}
        for process in self.roles():
            if process.life.frozen is None and process.life.node not in self.network.cut:
                lives[process.role] = lives.get(process.role, 0) + 1
        now_s = self.loop.time()
        self._doubles = {role: self._doubles.get(role, now_s) for role, count in lives.items() if count > 1}
        for role, since_s in self._doubles.items():
            if now_s - since_s > LIVES_S:
                self.truth.fail("two lives", f"{role} has had several since {since_s:.1f} s")

    def _check_owners(self) -> None:
        """Look for how long two hosts that run have believed to have the same shard."""
        owners: dict[int, set[int]] = {}
        for host in self.roles("host"):
            if host.life.frozen is None and (shard_map := self.view_of(host)) is not None:
                for shard, name in enumerate(shard_map.hosts):
                    if name == host.role:
                        owners.setdefault(shard, set()).add(host.pid)
        now_s = self.loop.time()
        both = {shard for shard, pids in owners.items() if len(pids) > 1}
        self._overlaps = {shard: self._overlaps.get(shard, now_s) for shard in both}
        for shard, since_s in self._overlaps.items():
            if now_s - since_s > OVERLAP_S:
                self.truth.fail(
                    "two owners", f"shard {shard} has had the owners {owners[shard]} since {since_s:.1f} s"
                )

    # --- what is true now ---

    def status(self) -> dict[str, Any] | None:
        """Return what the coordinator says; None while there is none, or it hangs."""
        if self.coordinator is None or self.incumbent is None or self.incumbent.frozen is not None:
            return None
        return self.loop.run_until_complete(self.coordinator.status())

    def processes(self) -> list[Process]:
        """Return the processes that live."""
        return [each for each in self.machines.lives if not each.life.dead]

    def roles(self, kind: str = "") -> list[Process]:
        """Return those that are a role, of a kind, and run."""
        return [each for each in self.processes() if each.serves and each.role.startswith(kind)]

    def view_of(self, process: Process) -> ShardMap | None:
        """Return the map that a role goes by."""
        return cast("ShardMap | None", process.inner.shard_map)

    def close(self) -> None:
        """End it all."""
        lives = [each.life for each in self.processes()]
        for one in [*lives, *([self.incumbent] if self.incumbent is not None else [])]:
            self.loop.end_life(one)
        self.loop.shut()
        asyncio.set_event_loop(None)
