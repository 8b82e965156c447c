"""A role becomes a Ray actor, and callers get a plain asynchronous handle. Only `ray_node` knows Ray, too.

Arguments and answers cross as MessagePack or JSON, so that Ray never pickles our types and a role of
another version fails with a decoding error instead of something strange. Ray's exceptions end here.
"""

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import msgspec
import ray
import structlog
from ray._private.state import actors
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import ray_node
from actors.service import INCARNATION, Alive, Node, Service
from roost.errors import Unavailable
from storage.records import VERSION, ShardMap

NAMESPACE = "roost"
GROUP = "roost.roles"
RELEASE = version("roost")
"""What this process runs. Read once: it is on the disk, and every heartbeat says it."""

_HEAD = "node:__internal_head__"
_PARALLEL_CALLS = 100
_CALL_S = 30.0
_SPARE_NICENESS = 15

log = structlog.get_logger()

Builder = Callable[[str, str], Awaitable[Service]]
"""Makes a role's service from its name and the settings as JSON."""


class RoleAway(Unavailable):
    """The role's process is dead, restarting, or does not answer."""


class RoleFailed(Exception):  # noqa: N818 -- named for what happened
    """The role answered with an exception; the message names it."""


def builder_of(role: str) -> Builder:
    """Return what an installed distribution names as the builder of the role.

    Raises:
        LookupError: Nobody offers such a role.
    """
    for entry in entry_points(group=GROUP, name=role):
        found: Builder = entry.load()
        return found
    raise LookupError(f"No installed distribution offers the role {role!r} (entry points {GROUP!r}).")


class _RoleActor:
    """A role in its process. One life of the process is one incarnation of the service.

    Which role that is, is said by the first `beat` of that life: a spare can become any.
    """

    def __init__(self, role: str, name: str, settings_json: str, *, eager: bool) -> None:
        self._role, self._name = role, name
        self._settings_json, self._eager = settings_json, eager
        self._lock = asyncio.Lock()
        self._service: Service | None = None
        self._address: tuple[str, int] | None = None
        self._starting = asyncio.get_running_loop().create_task(self._start_eagerly()) if eager else None

    async def warm(self, loader: str) -> bytes:
        """Load what any role needs, with little claim to processor time; say who is here."""
        with ThreadPoolExecutor(1) as own_thread:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(own_thread, _load_all, loader, self._settings_json)
        return msgspec.msgpack.encode(self._alive())

    async def beat(self, role: str = "", name: str = "") -> bytes:
        """Start the service on the first call of this life; say who is here, and its figures.

        Args:
            role: Which to be; '': the one that the process was made for.
            name: Its name.
        """
        service = await self._started(role or self._role, name or self._name)
        return msgspec.msgpack.encode((self._alive(), await service.status()))

    def _alive(self) -> Alive:
        at = here()
        return Alive(INCARNATION, os.getpid(), at.address, at.id, self._address, RELEASE, VERSION)

    async def apply(self, view: bytes) -> None:
        await (await self._begun()).apply(msgspec.msgpack.decode(view, type=ShardMap))

    async def pause_writes(self) -> None:
        await (await self._begun()).pause_writes()

    async def resume_writes(self) -> None:
        await (await self._begun()).resume_writes()

    async def status(self) -> bytes:
        return msgspec.msgpack.encode(await (await self._begun()).status())

    async def metrics(self) -> bytes:
        return await (await self._begun()).metrics()

    async def tell(self, message: bytes) -> bytes:
        """Pass an operator's message to a service that takes such; answers with its answer."""
        service: Any = await self._begun()
        return msgspec.msgpack.encode(await service.tell(msgspec.msgpack.decode(message)))

    async def stop(self) -> list[str]:
        return await self._service.stop() if self._service is not None else []

    async def _begun(self) -> Service:
        """Return the service; only a beat says which one a life begins, and only one who is eager knows."""
        if self._eager:
            return await self._started(self._role, self._name)
        async with self._lock:
            if self._service is None:
                raise _NotBegun
            return self._service

    async def _started(self, role: str, name: str) -> Service:
        async with self._lock:
            if self._service is None:
                service = await builder_of(role)(name, self._settings_json)
                self._address = await service.start()
                self._service = service
                self._role, self._name = role, name
                _collect_seldom()
            elif name != self._name:
                raise LookupError(f"This process is {self._name}, and not {name}.")
            return self._service

    async def _start_eagerly(self) -> None:
        """Start without being asked: nobody looks after the one who looks after the others."""
        while self._service is None:
            try:
                await self._started(self._role, self._name)
            except Exception:  # a process that gives up would be restarted only to fail again
                log.exception("start_failed", role=self._role, name=self._name)
                await asyncio.sleep(1.0)


class _NotBegun(Exception):  # noqa: N818 -- named for what happened
    """This life of the process has not begun to be a role."""


def _collect_seldom() -> None:
    """Leave what was loaded out of garbage collection, and look at the rest less often.

    Records, frames and entries come and go by reference counts; the collector's own rounds over all
    of them were a tenth of a busy role's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _load_all(loader: str, settings_json: str) -> None:
    """Load the builders of all roles, and what the loader adds.

    Niceness belongs to a thread on Linux, and cannot be taken back: the thread that calls this keeps it.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _SPARE_NICENESS)
    for entry in entry_points(group=GROUP):
        entry.load()
    _load(loader)(settings_json)
    gc.collect()
    gc.freeze()


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


_OPTIONS: dict[str, Any] = {
    "num_cpus": 0,
    "memory": 1,  # a byte, since Ray puts who asks for nothing anywhere, whatever the affinity says
    "max_restarts": 0,
    "max_task_retries": 0,
    "max_concurrency": _PARALLEL_CALLS,
}
RoleActor: Any = ray.remote(**_OPTIONS)(_RoleActor)


class RoleHandle:
    """Calls one role.

    Attributes:
        role: Role, for example ``host``.
        name: Name, for example ``host-1``.
        process: Name of the process, which another role may have been made for.
    """

    def __init__(self, role: str, name: str, actor: Any, process: str = "") -> None:
        self.role, self.name, self.process = role, name, process or name
        self._actor = actor

    def of(self, role: str, name: str) -> "RoleHandle":
        """Return the handle of another role that the same process is to be."""
        return RoleHandle(role, name, self._actor, self.process)

    async def warm(self, loader: str) -> Alive:
        """Have a process that is nobody yet load what any role needs; raises as `beat` does.

        Args:
            loader: ``module:function``, called with the settings as JSON.
        """
        return msgspec.msgpack.decode(await self._call("warm", loader), type=Alive)

    async def beat(self) -> tuple[Alive, dict[str, Any]]:
        """Start the role if this life of its process has not done so; return who is there, and its figures.

        One call, since each costs some 2 ms of CPU over both sides. Idempotent.

        Raises:
            RoleAway: The process is not there, or did not answer in time.
            RoleFailed: It could not start; another call tries again.
        """
        # A release that knows no spares takes no arguments; none of its processes sits elsewhere.
        me = () if self.process == self.name else (self.role, self.name)
        return msgspec.msgpack.decode(await self._call("beat", *me), type=tuple[Alive, dict[str, Any]])

    def ended(self, pid: int | None) -> bool:
        """Say whether Ray's head knows that this process, or whichever there was, ended. Blocks."""
        try:
            known = actors(self._actor._actor_id.hex())  # noqa: SLF001 -- Ray has no other name for it
        except (RayError, ConnectionError, RuntimeError) as exc:
            log.warning("death_not_known", role_name=self.name, reason=str(exc))
            return False
        if not known or pid is None:
            return bool(known) and known["State"] == "DEAD"
        return bool(known["State"] != "ALIVE" or known["Pid"] != pid)

    async def apply(self, view: ShardMap) -> None:
        """Hand over the map; raises as `beat` does."""
        await self._call("apply", msgspec.msgpack.encode(view))

    async def pause_writes(self) -> None:
        """Pause its writes to the log; raises as `beat` does."""
        await self._call("pause_writes")

    async def resume_writes(self) -> None:
        """Resume its writes to the log; raises as `beat` does."""
        await self._call("resume_writes")

    async def status(self) -> dict[str, Any]:
        """Return the role's figures; raises as `beat` does."""
        return msgspec.msgpack.decode(await self._call("status"), type=dict[str, Any])

    async def metrics(self) -> bytes:
        """Return the role's metrics; raises as `beat` does."""
        found: bytes = await self._call("metrics")
        return found

    async def tell(self, message: dict[str, Any], timeout_s: float = _CALL_S) -> Any:
        """Pass an operator's message on and return the answer; raises as `beat` does."""
        answer = await self._call("tell", msgspec.msgpack.encode(message), timeout_s=timeout_s)
        return msgspec.msgpack.decode(answer)

    async def stop(self, timeout_s: float = _CALL_S) -> list[str]:
        """Stop the role in order, and return what it gave up; raises as `beat` does."""
        given_up: list[str] = await self._call("stop", timeout_s=timeout_s)
        return given_up

    def kill(self) -> None:
        """End the process for good."""
        ray.kill(self._actor, no_restart=True)

    async def _call(self, method: str, *arguments: Any, timeout_s: float = _CALL_S) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await getattr(self._actor, method).remote(*arguments)
        except RayTaskError as exc:
            if isinstance(exc.cause, _NotBegun):
                raise RoleAway(f"{self.name} has not begun yet.") from exc
            raise RoleFailed(f"{self.name}.{method} failed: {exc.cause!r}") from exc
        except (RayActorError, GetTimeoutError, TimeoutError) as exc:
            raise RoleAway(f"{self.name} does not answer ({type(exc).__name__}).") from exc
        except RayError as exc:
            raise RoleAway(f"Ray did not carry out {self.name}.{method} ({type(exc).__name__}).") from exc


def start_ray(temp: Path, workers: int, *, dashboard_port: int = 0) -> str:
    """Start a Ray cluster of one node, join it, and return its address.

    Its daemons end with the thread that calls this. They listen on loopback if the variable
    ``RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER`` is 0, which Ray reads when this module is loaded.

    Args:
        temp: Folder for its sockets; short, since a socket's path has at most 107 bytes.
        workers: How many processes to start at once, for roles that will soon be made.
        dashboard_port: TCP port of Ray's dashboard on loopback; 0: none.
    """
    address = ray_node.start(temp, workers, dashboard_port=dashboard_port)
    connect_ray(address)
    return address


def connect_ray(address: str) -> None:
    """Join a Ray cluster as a client of its actors.

    Raises:
        Unavailable: There is no such cluster.
    """
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RayError, RuntimeError) as exc:
        raise Unavailable(f"There is no Ray cluster at {address}: {exc}") from exc


def leave_ray() -> None:
    """Disconnect; ends the cluster if this process started it."""
    ray.shutdown()
    ray_node.end()


def run_tasks(function: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Run the function as one task for each of the arguments, and wait for all.

    Raises:
        RoleFailed: A task ended with an exception.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(function)
    try:
        ray.get([task.remote(*each) for each in arguments])
    except RayTaskError as exc:
        raise RoleFailed(str(exc)) from exc


def node_address() -> str:
    """Return the IP address by which other machines of the cluster know this one."""
    found: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return found


def here() -> Node:
    """Return the machine that this process is on."""
    return Node(ray.get_runtime_context().get_node_id(), node_address())


def nodes() -> list[Node]:
    """Return the machines that are there. Blocks, for as long as Ray's head is away.

    Raises:
        RoleAway: Ray does not say.
    """
    try:
        found = ray.nodes()  # type: ignore[no-untyped-call]
    except (RayError, ConnectionError, RuntimeError) as exc:
        raise RoleAway(f"Ray does not say which machines there are: {exc}") from exc
    return [
        Node(
            id=each["NodeID"],
            address=each["NodeManagerAddress"],
            hostname=each["NodeManagerHostname"],
            cpus=each["Resources"].get("CPU", 0.0),
            head=_HEAD in each["Resources"],
        )
        for each in found
        if each["Alive"]
    ]


def spawn(
    role: str,
    name: str,
    settings_json: str,
    *,
    eager: bool = False,
    node_id: str = "",
    process: str = "",
    cpus: float = 0.0,
) -> RoleHandle:
    """Return the living role of this name, or make it.

    Blocks for as long as Ray's head is away.

    Args:
        role: Which builder is looked up.
        name: Name of the role in the cluster, for example ``host-1``.
        settings_json: Handed to the builder.
        eager: Start the service without waiting for `beat`, and have Ray start it again whenever it ends;
            whoever is not eager is started again by who looks after them.
        node_id: Where to make it, and to restart it as long as that machine is there; '': anywhere.
        process: Name of the process, where it was made for another role; '': the role's.
        cpus: Processors that it requests of Ray: what an autoscaler sees. Where none are free it waits.
    """
    home = process.rpartition("-")[0] if process else role
    process = process or name
    options = {
        "num_cpus": cpus,
        "name": f"roost-{process}",
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
    }
    if eager:
        options["max_restarts"] = -1
    if node_id:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node_id, soft=True)
    actor = RoleActor.options(**options).remote(home, process, settings_json, eager=eager)
    return RoleHandle(role, name, actor, process)


def find(role: str, name: str) -> RoleHandle:
    """Return the living role of this name.

    Raises:
        RoleAway: There is none.
    """
    try:
        return RoleHandle(role, name, ray.get_actor(f"roost-{name}", namespace=NAMESPACE))
    except (ValueError, RayError) as exc:
        raise RoleAway(f"There is no {name} in this Ray cluster.") from exc
