"""A sync that waits, and whose client or gateway goes: its host takes the device for no reader any longer."""

from collections.abc import Callable

import pytest

from sim.deterministic.settling import move_roles
from sim.deterministic.world import Plan, World

ANN = "ANN0000000"


def waiting(world: World) -> int:
    """Return how many syncs wait at the hosts, when all that is on its way has arrived."""
    for _ in range(10):
        move_roles(world)
        for socket in world.sockets[ANN]:
            socket.read("done")
    return sum(len(actor.mailbox.polls) for host in world.hosts.values() for _, actor in host.actors())


def hang_up(world: World) -> None:
    world.phones[ANN].hang_up(world.now_ms)


@pytest.mark.parametrize(
    "goes", [hang_up, lambda world: world.restart_gateway("g0")], ids=["client", "gateway"]
)
def test_who_waited_and_went_is_no_reader(goes: Callable[[World], None]) -> None:
    world = World(Plan(1, (1, 1)))
    world.connect(ANN, "g0", "poll")
    assert waiting(world) == 1
    goes(world)
    assert waiting(world) == 0
