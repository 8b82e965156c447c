"""Which machine a role runs on: spread by kind, then in all; moved only where that lowers a load. Pure.

The load of a machine is its number of roles, of hosts and routers in proportion to its cores.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from actors.service import Node

ROLES: Final = ("host", "router", "gateway", "pusher")
"""Those that there may be many of."""

BY_CORES: Final = ("host", "router")
"""Roles that need processor time; the others are counted by the piece."""


class Seat(NamedTuple):
    """Where a role is."""

    role: str
    node_id: str


def choose(role: str, seats: Sequence[Seat], nodes: Sequence[Node]) -> str:
    """Return the id of the machine for one more of the role, '' where there is none."""
    if not nodes:
        return ""
    return min(nodes, key=lambda node: (*_load(role, seats, node, more=1), node.id)).id


def next_move(seats: Mapping[str, Seat], nodes: Sequence[Node]) -> tuple[str, str] | None:
    """Return the role that should move first, and the id of the machine where to; None: all is well.

    Args:
        seats: Where each role is, by its name.
        nodes: The machines that may have roles. Who sits on another one should move.
    """
    taken = list(seats.values())
    there = {node.id: node for node in nodes}
    if not nodes:
        return None
    for name, seat in sorted(seats.items()):
        if seat.node_id not in there:
            return name, choose(seat.role, taken, nodes)
    for compared in (1, 2):  # first each kind by itself, then all together
        for name, seat in sorted(seats.items()):
            target = choose(seat.role, taken, nodes)
            here, then = (
                _load(seat.role, taken, there[node], more=more)
                for node, more in ((seat.node_id, 0), (target, 1))
            )
            if here[:compared] > then[:compared]:
                return name, target
    return None


def _load(role: str, seats: Sequence[Seat], node: Node, *, more: int) -> tuple[float, float]:
    """Return the machine's load by this role and in all, with so many more of the role."""
    here = Counter(seat.role for seat in seats if seat.node_id == node.id)
    cores = max(node.cpus, 1.0) if role in BY_CORES else 1.0
    return (here[role] + more) / cores, (here.total() + more) / cores
