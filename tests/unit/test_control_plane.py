"""What the deterministic runs found in the control plane, each by itself, in their world."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from actors.ray_actor import RoleAway
from roost.errors import Unavailable
from sim.deterministic.control.world import Plan, World
from storage.cluster_rows import StoredRoster

COUNTS = {"host": 2, "router": 1, "gateway": 1, "pusher": 1}
PLAN = Plan(
    seed=1, nodes=1, hosts=2, routers=1, gateways=1, pushers=1, spares=0, shards=2,
    slowest_ms=5, start_ms=400, renewed=0, exam=False,
)  # fmt: skip


@pytest.fixture
def make() -> Iterator[Callable[[Plan], World]]:
    made: list[World] = []

    def make(plan: Plan = PLAN) -> World:
        made.append(World(plan))
        return made[-1]

    yield make
    for world in made:
        world.close()


def tell(world: World, message: dict[str, Any]) -> Any:
    assert world.coordinator is not None
    return world.loop.run_until_complete(world.coordinator.tell(message))


def until(world: World, condition: Callable[[], Any], every_s: float = 0.05) -> None:
    deadline = world.loop.time() + 60
    while not condition():
        assert world.loop.time() < deadline
        world.pass_time(every_s)


def ready(world: World) -> bool:
    status = world.status()
    return status is not None and status["ready"]


def names(world: World) -> set[str]:
    roster = world.database.the_roster
    return set(roster.names) if roster is not None else set()


def test_a_coordinator_that_has_not_read_the_roster_takes_no_operation(make: Callable[..., World]) -> None:
    """By the empty one that it has, it would write down that there are these hosts and no one else."""
    world = make()
    until(world, lambda: ready(world))
    before = names(world)
    number = tell(world, {"act": "undrain", "what": "n1"})["number"]
    world.network.away.add("store")
    world.kill_coordinator()
    until(world, lambda: world.coordinator is not None)
    assert "starting" in tell(world, {"act": "scale", "what": {"host": 3}})["refused"]
    told = tell(world, {"act": "operation", "number": number})["refused"]
    assert "has restarted meanwhile" in told, "of what another began it does not say that nothing was changed"
    world.network.away.clear()
    until(world, lambda: ready(world))
    assert names(world) == before


def test_an_operation_begins_with_the_rollout_that_another_coordinator_left(
    make: Callable[..., World],
) -> None:
    world = make()
    who = ("host-1", "host-2", "host-3", "router-1", "gateway-1", "pusher-1")
    world.database.the_roster = StoredRoster(COUNTS, who, coming=("host-3",), going=("host-1",))
    until(world, lambda: world.status() is not None and world.status()["nodes"])  # type: ignore[index]
    number = tell(world, {"act": "drain", "what": "host-2", "by": "operator:ann@box"})["number"]
    until(world, lambda: tell(world, {"act": "operation", "number": number})["done"])
    world.pass_time(1)
    assert [(each.actor, each.act, each.target, each.outcome) for each in world.database.audited] == [
        ("operator:ann@box", "drain", "host-2", outcome) for outcome in ("requested", "done")
    ]
    assert names(world) == {"host-3", "router-1", "gateway-1", "pusher-1"}


def test_a_role_that_is_dismissed_while_it_is_made_leaves_no_process(make: Callable[..., World]) -> None:
    world = make()
    until(world, lambda: ready(world))
    host = next(each for each in world.roles("host") if each.role == "host-2")
    world.machines.die(host)
    spawn, made = world.machines.spawn, []

    def noted(*args: str) -> Any:
        made.append(args[1])
        return spawn(*args)

    supervisor = world.coordinator._roles.supervisors["host-2"]  # type: ignore[union-attr]
    supervisor._spawn = lambda: noted("host", "host-2", "n1", "host-2")
    until(world, lambda: supervisor._making is not None and not supervisor._making.done(), 0.001)
    roles = world.coordinator._roles  # type: ignore[union-attr]
    world.loop.run_until_complete(roles.dismiss(supervisor))
    assert made == ["host-2"]
    world.pass_time(5)
    assert "host-2" not in {each.name for each in world.processes()}


def test_no_spare_is_made_where_none_may_be(make: Callable[..., World]) -> None:
    """On a drained machine it would be ended at once, and made again, a Python process every second."""
    world = make(replace(PLAN, spares=1))
    until(world, lambda: ready(world))
    roster = world.coordinator._roster  # type: ignore[union-attr]
    world.loop.run_until_complete(roster.cordon(roster.nodes[0]))
    world.pass_time(20)
    assert [each.name for each in world.machines.lives if each.name.startswith("spare")] == []


def test_a_supervisor_outlives_what_it_does_not_know(make: Callable[..., World]) -> None:
    """Without it, the role would be dead for good at its next death, and no line would say so."""
    world = make()
    until(world, lambda: ready(world))
    supervisor = world.coordinator._roles.supervisors["router-1"]  # type: ignore[union-attr]
    spawn, tries = supervisor._spawn, iter([RoleAway("The head is away."), ValueError("Nobody knows.")])

    def fails_at_first() -> Any:
        for failure in tries:
            raise failure
        return spawn()

    supervisor._spawn = fails_at_first
    world.machines.die(world.roles("router")[0])
    world.pass_time(1)
    assert not ready(world)
    until(world, lambda: ready(world))


async def test_what_is_asked_of_many_at_once_asks_no_one_in_vain() -> None:
    """One that is still being made has no handle: what was to be asked of the others is not left behind."""
    from cluster.control.log_clients import RolesAsLogClients  # noqa: PLC0415 -- beside its world

    class Made:
        role, left = "router", False

        def __init__(self, *, away: bool) -> None:
            self.away = away

        @property
        def handle(self) -> "Made":
            if self.away:
                raise RoleAway("It is being made.")
            return self

        async def status(self) -> dict[str, Any]:
            return {}

    class Roles:
        shard_map = None
        gone: list[dict[str, Any]] = []  # noqa: RUF012 -- never changed

        def __init__(self) -> None:
            self.pause_writes = self.resume_writes = lambda *_: asyncio.sleep(0)

        def of(self, *roles: str) -> list[Any]:
            return [Made(away=False), Made(away=True)] if "router" in roles else []

    roles: Any = Roles()
    assert not await RolesAsLogClients(roles, lambda: asyncio.sleep(0)).caught_up("router")


@pytest.mark.attack("operator-act-without-a-trace")
def test_what_cannot_be_written_down_is_not_done(make: Callable[..., World]) -> None:
    world = make()
    until(world, lambda: ready(world))
    before = names(world)
    world.database.append = _refused  # type: ignore[method-assign]
    number = tell(world, {"act": "scale", "what": {"host": 3}})["number"]
    until(world, lambda: tell(world, {"act": "operation", "number": number})["done"])
    assert "audit log" in tell(world, {"act": "operation", "number": number})["failure"]
    assert names(world) == before
    del world.database.append
    assert "refused" in tell(world, {"act": "drain", "what": "no-such-host", "by": "user:eve"})
    world.pass_time(1)
    [entry] = world.database.audited
    assert (entry.actor, entry.act, entry.target) == ("user:eve", "drain", "no-such-host")
    assert entry.outcome.startswith("refused: ")


def _refused(*_args: object) -> Any:
    raise Unavailable("The store is away.")
