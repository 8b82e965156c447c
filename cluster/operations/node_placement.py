"""Placement of roles on machines: spread by kind, then in all; moved only where that lowers a load. Pure.

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


class Placement(NamedTuple):
    """Where a role is."""

    role: str
    node_id: str


def choose(role: str, placements: Sequence[Placement], nodes: Sequence[Node]) -> str:
    """Return the id of the machine for one more of the role, '' where there is none."""
    if not nodes:
        return ""
    return min(nodes, key=lambda node: (*_load(role, placements, node, more=1), node.id)).id


def next_move(placements: Mapping[str, Placement], nodes: Sequence[Node]) -> tuple[str, str] | None:
    """Return the role that should move first, and the id of the machine where to; None: all is well.

    Args:
        placements: Where each role is, by its name.
        nodes: The machines that may have roles. Who is on another one should move.
    """
    taken = list(placements.values())
    there = {node.id: node for node in nodes}
    if not nodes:
        return None
    for name, placement in sorted(placements.items()):
        if placement.node_id not in there:
            return name, choose(placement.role, taken, nodes)
    for compared in (1, 2):  # first each kind by itself, then all together
        for name, placement in sorted(placements.items()):
            target = choose(placement.role, taken, nodes)
            here, then = (
                _load(placement.role, taken, there[node], more=more)
                for node, more in ((placement.node_id, 0), (target, 1))
            )
            if here[:compared] > then[:compared]:
                return name, target
    return None


def _load(role: str, placements: Sequence[Placement], node: Node, *, more: int) -> tuple[float, float]:
    """Return the machine's load by this role and in all, with so many more of the role."""
    here = Counter(placement.role for placement in placements if placement.node_id == node.id)
    cores = max(node.cpus, 1.0) if role in BY_CORES else 1.0
    return (here[role] + more) / cores, (here.total() + more) / cores
