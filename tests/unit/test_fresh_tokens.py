"""A push token that is registered while its user's actor is not in memory."""

import pytest
from msgspec import structs

from actors.rpc import questions as q
from sim.deterministic.settling import move_roles
from sim.deterministic.world import Plan, World

ANN, BOB = "ANN0000000", "BOB0000000"


def rest(world: World) -> None:
    """Let everything that is in flight arrive; only Ann's phone is on."""
    for _ in range(20):
        move_roles(world)
        for socket in world.sockets[ANN]:
            while socket.read("done"):
                continue
        world.phones[ANN].read(1000, world.now_ms)
        world.phones[ANN].flush()


def have_token(world: World, token: str | None) -> None:
    """Bob's phone is stored with this token."""
    [device] = world.store.devices["bob"]
    world.store.devices["bob"] = [
        structs.replace(device, push_token=token, push_since_ms=device.push_since_ms + 1)
    ]


@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("renewed", ["", BOB])
def test_what_waits_is_pushed_for_at_once(*, renewed: str, snapshot: bool) -> None:
    world = World(Plan(1, (1, 1)))
    have_token(world, None)
    world.connect(ANN, "g0")
    rest(world)
    world.phones[ANN].say("bob", world.now_ms)
    rest(world)
    assert len(world.store.mailbox("bob")) == 1
    assert world.hosts["h0"].passivate("bob")
    move_roles(world)
    if not snapshot:
        world.cache.flush()
    have_token(world, BOB)
    answers: list[q.Answer | None] = []
    world.gateways["g0"].change("bob", lambda call: q.Refresh(call, "bob", renewed), answers.append)
    rest(world)
    assert len(answers) == 1
    assert ("bob" in world.hosts["h0"].users) is bool(renewed), "for another reason it is not loaded"
    assert world.truth.wakeups.covered("bob", BOB, 1) is bool(renewed)
