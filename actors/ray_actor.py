"""Roles as Ray actors, with plain asynchronous handles for those who call them. Ray's exceptions end here.

Only `ray_node`, which starts Ray, and `worker`, which Ray starts, know it, too.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import ray
import structlog
from ray._private.state import actors
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import ray_node
from actors.role_process import NotBegun, RoleProcess
from actors.service import RELEASE, Alive, Node
from roost.errors import Unavailable
from storage.shard_map import ShardMap

__all__ = [
    "NAMESPACE",
    "RELEASE",
    "RoleAway",
    "RoleFailed",
    "RoleHandle",
    "connect_ray",
    "find",
    "here",
    "leave_ray",
    "node_address",
    "nodes",
    "run_tasks",
    "spawn",
    "start_ray",
]

NAMESPACE = "roost"
_HEAD = "node:__internal_head__"
_PARALLEL_CALLS = 100
_CALL_S = 30.0

log = structlog.get_logger()


class RoleAway(Unavailable):
    """The role's process is dead, restarting, or does not answer."""


class RoleFailed(Exception):  # noqa: N818 -- named for what happened
    """The role answered with an exception; the message names it."""


class _RoleActor(RoleProcess):
    def __init__(self, role: str, name: str, settings_json: str, *, eager: bool) -> None:
        super().__init__(role, name, settings_json, here, eager=eager)


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
        """Have a process that is no role yet load what any role needs; raises as `beat` does.

        Args:
            loader: ``module:function``, called with the settings as JSON.
        """
        return msgspec.msgpack.decode(await self._call("warm", loader), type=Alive)

    async def beat(self) -> tuple[Alive, dict[str, Any]]:
        """Start the role if its process has not done so; return who is there, and its figures.

        One call, since each costs some 2 ms of CPU over both sides. Idempotent.

        Raises:
            RoleAway: The process is not there, or did not answer in time.
            RoleFailed: It could not start; another call tries again.
        """
        # A release that knows no spares takes no arguments; none of its processes sits elsewhere.
        me = () if self.process == self.name else (self.role, self.name)
        return msgspec.msgpack.decode(await self._call("beat", *me), type=tuple[Alive, dict[str, Any]])

    def ended(self, pid: int | None) -> bool:
        """Return whether Ray's head knows that this process, or whichever there was, ended. Blocks."""
        try:
            known = actors(self._actor._actor_id.hex())  # noqa: SLF001 -- Ray has no other name for it
        except (RayError, ConnectionError, RuntimeError) as exc:
            log.warning("death_not_known", role_name=self.name, reason=str(exc))
            return False
        if not known or pid is None:
            return bool(known) and known["State"] == "DEAD"
        return bool(known["State"] != "ALIVE" or known["Pid"] != pid)

    async def apply(self, shard_map: ShardMap) -> None:
        """Hand over the map; raises as `beat` does."""
        await self._call("apply", msgspec.msgpack.encode(shard_map))

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
            if isinstance(exc.cause, NotBegun):
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

    Raises:
        UnsuitableRayError: This is not the Ray that `ray_node` can start.
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
