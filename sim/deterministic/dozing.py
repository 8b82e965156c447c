"""Every phone is put away, and what is in flight arrives: who has a push token must have been woken."""

from sim.deterministic.rest import check_woken
from sim.deterministic.settling import mend, move_roles
from sim.deterministic.steps import tick
from sim.deterministic.world import World

_ROUNDS = 300
_AT_REST = 3
_TICK_MS = 20_000


def doze(world: World) -> None:
    """Put every phone away without a word, and check who was woken.

    Raises:
        Violation: A device that has something to read was not woken for it.
    """
    mend(world)
    for phone in world.phones.values():
        phone.hang_up(world.now_ms)
    quiet = 0
    for _ in range(_ROUNDS):
        moved = move_roles(world)
        for sockets in world.sockets.values():
            for socket in sockets:
                while socket.read("done"):
                    moved = True
        quiet = 0 if moved else quiet + 1
        if quiet >= _AT_REST:
            break
        if not moved:
            tick(world, _TICK_MS)
    check_woken(world.truth)
