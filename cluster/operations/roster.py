"""The roster: which roles there are to be, kept in MongoDB, and on which of Ray's machines each one is."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog
from msgspec.structs import replace

from actors.ray_actor import RoleAway
from actors.service import Node
from cluster.operations.node_placement import ROLES, Placement, choose
from cluster.supervision.roles import Roles
from cluster.supervision.supervisor import Supervisor
from storage.cluster_rows import StoredRoster
from storage.ports import ClusterState

log = structlog.get_logger()

Hire = Callable[[str, str, str], Supervisor]
"""Makes the supervisor of a role from the role, its name and the machine's id."""


class Roster:
    """Keeps the roster.

    Attributes:
        nodes: The machines that were there when last looked.
        stored: As it is in MongoDB.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        store: ClusterState,
        roles: Roles,
        hire: Hire,
        machines: Callable[[], Sequence[Node]],
    ) -> None:
        self._counts = dict(counts)
        self._store, self._roles, self._hire, self._machines = store, roles, hire, machines
        self._planned: dict[str, str] = {}
        self._used: dict[str, int] = {}
        self._writing = asyncio.Lock()
        self.nodes: list[Node] = []
        self.stored = StoredRoster({}, ())

    async def open(self, owning: Collection[str]) -> None:
        """Read who there is to be, and look after them; raises as the store does.

        Args:
            owning: Names of the roles that the newest map gives shards.
        """
        known = await self._store.roster()
        if known is None or known.counts != self._counts:
            names = tuple(f"{role}-{n}" for role in ROLES for n in range(1, self._counts[role] + 1))
            known = StoredRoster(self._counts, names, processes=known.processes if known is not None else {})
            await self._store.put_roster(known)
        self.stored = known
        await self.look()
        drawn = any(name in owning for name in known.coming) or not any(n in owning for n in known.going)
        for name in known.names:
            self.add(name, may_own=name not in (known.going if drawn else known.coming))

    async def look(self) -> None:
        """See which machines there are."""
        try:
            self.nodes = sorted(await asyncio.to_thread(self._machines), key=lambda node: node.address)
        except RoleAway as exc:
            log.warning("machines_unknown", reason=exc.detail)
            return
        there = {node.id for node in self.nodes}
        await self._keep(
            lambda now: replace(now, cordoned=tuple(id_ for id_ in now.cordoned if id_ in there))
        )

    # --- one change of it -------------------------------------------------------------------------

    async def begin_change(self, come: Sequence[str], go: Sequence[str]) -> None:
        """Write down that these are about to come and go; again: nothing happens."""
        await self._keep(
            lambda now: replace(
                now,
                names=(*now.names, *(name for name in come if name not in now.names)),
                coming=tuple(come),
                going=tuple(go),
            )
        )

    async def end_change(self, gone: Collection[str]) -> None:
        """Write down that the change is over, and that these are not there any more."""
        await self._keep(
            lambda now: replace(
                now, names=tuple(name for name in now.names if name not in gone), coming=(), going=()
            )
        )
        for name in gone:
            self._planned.pop(name, None)

    async def cordon(self, node: Node) -> None:
        """Have no role on this machine from now on."""
        await self._keep(lambda now: replace(now, cordoned=tuple(dict.fromkeys((*now.cordoned, node.id)))))

    async def uncordon(self, node: Node) -> None:
        """Have roles on this machine again."""
        await self._keep(
            lambda now: replace(now, cordoned=tuple(id_ for id_ in now.cordoned if id_ != node.id))
        )

    # --- processes ------------------------------------------------------------------------

    def process_of(self, name: str) -> str:
        """Return the name of the process that a role or a spare is in; its own, if they never swapped."""
        return self.stored.processes.get(name, name)

    def swap(self, one: str, other: str) -> None:
        """Two have swapped their processes; `write_down` has it outlive us."""
        processes = self.stored.processes | {one: self.process_of(other), other: self.process_of(one)}
        self.stored = replace(
            self.stored, processes={who: own for who, own in processes.items() if who != own}
        )

    async def write_down(self) -> None:
        """Store the roster as it is; raises as the store does."""
        async with self._writing:
            await self._store.put_roster(self.stored)

    # --- roles and their places -------------------------------------------------------------------

    def add(self, name: str, *, may_own: bool) -> None:
        """Look after a role, on the machine that was planned or suits best; again: nothing happens."""
        if name in self._roles.supervisors:
            return
        role = role_of(name)
        node_id = self._planned.setdefault(name, self.place_for(role))
        self._roles.add(self._hire(role, name, node_id), may_own=may_own)

    def place_for(self, role: str) -> str:
        """Return the id of the machine for one more of the role, '' where there is none."""
        return choose(role, list(self.placements().values()), self.open_nodes())

    def plan(self, name: str, node_id: str) -> None:
        """Have a role that is not there yet made on this machine."""
        self._planned[name] = node_id

    def placements(self) -> dict[str, Placement]:
        """Return where each role is, or is to be."""
        placements: dict[str, Placement] = {}
        for member in self._roles.membership.members():
            node_id = member.alive.node_id if member.alive is not None else self._planned.get(member.name, "")
            placements[member.name] = Placement(member.role, node_id)
        return placements

    def open_nodes(self) -> list[Node]:
        """Return the machines that may have roles."""
        return [node for node in self.nodes if node.id not in self.stored.cordoned]

    def is_open(self, node_id: str) -> bool:
        """Return whether roles may be on this machine."""
        return any(node.id == node_id for node in self.open_nodes())

    def node(self, target: str) -> Node | None:
        """Return the machine with this address, host name or id."""
        return next((n for n in self.nodes if target in (n.address, n.hostname, n.id)), None)

    def of(self, role: str) -> list[str]:
        """Return the names of the role's members, the oldest first."""
        return sorted((each.name for each in self._roles.of(role)), key=_number_of)

    def fresh(self, role: str, count: int) -> list[str]:
        """Return so many names, none used since we started: Ray frees a name some time after its end."""
        used = max([self._used.get(role, 0), *map(_number_of, self.of(role))])
        self._used[role] = used + max(count, 0)
        return [f"{role}-{number}" for number in range(used + 1, used + count + 1)]

    def rows(self) -> list[dict[str, Any]]:
        """Return the machines for ``roost status``."""
        placements = Counter(placement.node_id for placement in self.placements().values())
        return [
            {
                "node": node.address,
                "id": node.id,
                "hostname": node.hostname,
                "cpus": node.cpus,
                "roles": placements[node.id],
                "drained": node.id in self.stored.cordoned,
            }
            for node in self.nodes
        ]

    async def _keep(self, change: Callable[[StoredRoster], StoredRoster]) -> None:
        """Store what the change makes of the roster as it is by then: another one may be being written."""
        async with self._writing:
            roster = change(self.stored)
            if roster != self.stored:
                await self._store.put_roster(roster)
                self.stored = replace(
                    roster, processes=self.stored.processes
                )  # they may have swapped meanwhile


def role_of(name: str) -> str:
    """Return the role in a name such as ``host-2``."""
    return name.rpartition("-")[0]


def _number_of(name: str) -> int:
    return int(name.rpartition("-")[2])
