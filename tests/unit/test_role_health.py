"""A role that lost an essential task is unhealthy, and another process is made to be it."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.exceptions import RayActorError, RayTaskError
from structlog.testing import capture_logs

from actors import role_process
from actors.ray_actor import RoleHandle
from actors.role_process import RoleProcess, Unhealthy
from actors.rpc.connections import Connections
from actors.service import Address, Node
from cluster.consumers.consumer import Consumer
from cluster.role_shell.fence import Fence
from cluster.supervision.membership import RUNNING, Membership, Patience
from cluster.supervision.roles import Roles
from cluster.supervision.spares import Spares
from cluster.supervision.supervisor import Supervisor
from roost.tasks import BackgroundTasks, on_essential_failure
from storage.kafka_log import KafkaLogWriter
from storage.kafka_log.producer import Producer
from storage.shard_map import ShardMap
from telemetry import metrics
from tests.live.waiting import until_found

VIEW = ShardMap(1, ("host-1",), ("router-1",), ("",), (1,), {"host-1": ("127.0.0.1", 1)}, {})


class Service:
    """A role of one loop, which ends when it is told to."""

    def __init__(self) -> None:
        self.broken = asyncio.Event()
        self._tasks = BackgroundTasks()

    async def start(self) -> Address | None:
        self._tasks.spawn(self._run(), "the loop", essential=True)
        return None

    async def apply(self, _view: ShardMap) -> None:
        """It serves nothing."""

    async def status(self) -> dict[str, Any]:
        return {"users": 1}

    async def _run(self) -> None:
        await self.broken.wait()
        raise KeyError("unexpected")


class Processes:
    """Processes of one role. Where Ray would carry a call to another process, it is made here."""

    def __init__(self) -> None:
        self.services: list[Service] = []
        self.dead: list[RoleProcess] = []

    async def build(self, _name: str, _settings_json: str) -> Service:
        self.services.append(Service())
        return self.services[-1]

    def spawn(self) -> RoleHandle:
        process = RoleProcess("gateway", "gateway-1", "{}", lambda: Node("far", "10.0.0.2"), eager=False)
        return Handle(self, process)


class Handle(RoleHandle):
    """The real handle but for what only Ray can do."""

    def __init__(self, processes: Processes, process: RoleProcess) -> None:
        super().__init__("gateway", "gateway-1", _Actor(processes, process))
        self._processes, self._process = processes, process

    def kill(self) -> None:
        self._processes.dead.append(self._process)

    def ended(self, _pid: int | None) -> bool:
        return self._process in self._processes.dead


class _Actor:
    def __init__(self, processes: Processes, process: RoleProcess) -> None:
        self._processes, self._process = processes, process

    def __getattr__(self, method: str) -> Any:
        async def call(*arguments: Any) -> Any:
            if self._process in self._processes.dead:
                raise RayActorError
            try:
                return await getattr(self._process, method)(*arguments)
            except Exception as exc:
                raise RayTaskError(method, "", exc) from exc

        return SimpleNamespace(remote=call)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    found = Processes()
    monkeypatch.setattr(role_process, "builder_of", lambda _role: found.build)
    monkeypatch.setattr(role_process, "_collect_seldom", lambda: None)
    monkeypatch.setattr(role_process, "INCARNATION", "")
    return found


async def test_the_supervisor_replaces_a_role_that_lost_an_essential_task(processes: Processes) -> None:
    membership = Membership(Patience(1_000, 1_000))
    membership.expect("gateway", "gateway-1", 0)
    supervisor = Supervisor(
        "gateway",
        "gateway-1",
        spawn=processes.spawn,
        membership=membership,
        heartbeat_s=0.01,
        changed=lambda: None,
        spares=Spares(0, "here", cast("Any", None), lambda _node: False, lambda *_: None),
    )
    unhealthy = metrics.ROLES_UNHEALTHY.labels("gateway")
    before = unhealthy._value.get()
    task = asyncio.create_task(supervisor.run())
    with capture_logs() as lines:
        await until_found(lambda: supervisor.figures == {"users": 1})
        processes.services[0].broken.set()
        await until_found(lambda: len(processes.services) == 2 and not supervisor.failure)
    task.cancel()
    assert len(processes.dead) == 1
    assert unhealthy._value.get() == before + 1
    assert membership.state("gateway-1", int(asyncio.get_running_loop().time() * 1000)) == RUNNING
    told = {line["event"]: line for line in lines}
    assert told["essential_task_failed"]["task"] == "the loop"
    reason = "gateway-1 is unhealthy: the loop failed: KeyError('unexpected')"
    assert told["role_unhealthy"]["reason"] == reason
    assert [line["event"] for line in lines].count("essential_task_failed") == 1


async def test_the_coordinator_which_has_no_supervisor_ends_its_process(processes: Processes) -> None:
    ended: list[bool] = []
    process = RoleProcess(
        "coordinator",
        "coordinator",
        "{}",
        lambda: Node("far", "10.0.0.2"),
        eager=True,
        end=lambda: ended.append(True),
    )
    await process.status()
    assert not ended
    processes.services[0].broken.set()
    await until_found(lambda: bool(ended))
    with pytest.raises(Unhealthy, match="the loop failed"):
        await process.status()


# --- the loops of the roles' parts ------------------------------------------------------------------


def raising(*_: Any, **__: Any) -> Any:
    raise ArithmeticError("unexpected")


def consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Consumer, "turn", raising)
    reading: Consumer[Any] = Consumer(cast("Any", None), cast("Any", None), limit=1, commit_every_s=60)
    reading.shards = {0: cast("Any", None)}
    reading.start()


def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connections, "_connect", raising)
    Connections(("router", "router-1"), b"").apply(VIEW)


async def fence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.role_shell.fence.LOOK_EVERY_S", 0)
    monkeypatch.setattr("cluster.role_shell.fence.SILENCE_S", -1)
    monkeypatch.setattr(Fence, "_ask", raising)
    fenced = Fence(cast("Any", Service()), "host-1", cast("Any", None), raising, "")
    await fenced.apply(VIEW)
    await fenced.start()


async def log_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connected(_producer: Producer) -> None:
        """There is no broker."""

    monkeypatch.setattr(Producer, "connect", connected)
    monkeypatch.setattr(KafkaLogWriter, "_send_ready", raising)
    writer = KafkaLogWriter("")
    await writer.start()
    writer.resume()


def supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Supervisor, "_looked_after", raising)
    watch = SimpleNamespace(stop=lambda: None)
    membership = Membership(Patience(1_000, 1_000))
    Roles(membership).add(
        Supervisor(
            "host",
            "host-1",
            spawn=raising,
            membership=membership,
            heartbeat_s=1,
            changed=lambda: None,
            spares=cast("Any", SimpleNamespace(watch=lambda _: watch)),
        )
    )


@pytest.mark.parametrize(
    ("part", "task"),
    [
        (consumer, "Consumer._read"),
        (connections, "dial host-1"),
        (fence, "fence"),
        (log_writer, "log writer"),
        (supervision, "supervisor of host-1"),
    ],
)
async def test_a_loop_that_a_role_cannot_do_without_is_essential(
    monkeypatch: pytest.MonkeyPatch, part: Callable[[pytest.MonkeyPatch], Any], task: str
) -> None:
    told: list[str] = []
    on_essential_failure(lambda name, _: told.append(name))
    begun = part(monkeypatch)
    if begun is not None:
        await begun
    await until_found(lambda: bool(told))
    assert told[0] == task
    for each in asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}:
        each.cancel()
