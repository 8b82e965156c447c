"""Who there is to be, and on which machine: the roster in MongoDB beside the machines that Ray shows."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog
from msgspec.structs import replace

from actors.ray_actor import RoleAway
from actors.service import Node
from cluster.control.node_placement import ROLES, Seat, choose
from cluster.control.roles import Crew
from cluster.control.supervisor import RoleKeeper
from storage.ports import ClusterState
from storage.records import Roster

log = structlog.get_logger()

Hire = Callable[[str, str, str], RoleKeeper]
"""Makes the keeper of a role from the role, its name and the machine's id."""


class Seating:
    """Keeps the roster.

    Attributes:
        nodes: The machines that were there when last looked.
        roster: As it is stored.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        store: ClusterState,
        crew: Crew,
        hire: Hire,
        machines: Callable[[], Sequence[Node]],
    ) -> None:
        self._counts = dict(counts)
        self._store, self._crew, self._hire, self._machines = store, crew, hire, machines
        self._planned: dict[str, str] = {}
        self._used: dict[str, int] = {}
        self._writing = asyncio.Lock()
        self.nodes: list[Node] = []
        self.roster = Roster({}, ())

    async def open(self, owning: Collection[str]) -> None:
        """Read who there is to be, and look after them; raises as the store does.

        Args:
            owning: Names of the roles that the newest map gives shards.
        """
        known = await self._store.roster()
        if known is None or known.counts != self._counts:
            names = tuple(f"{role}-{n}" for role in ROLES for n in range(1, self._counts[role] + 1))
            known = Roster(self._counts, names, seats=known.seats if known is not None else {})
            await self._store.put_roster(known)
        self.roster = known
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
        if gone := set(self.roster.barred) - there:
            await self._keep(replace(self.roster, barred=tuple(set(self.roster.barred) - gone)))

    # --- one change of it -------------------------------------------------------------------------

    async def begin(self, come: Sequence[str], go: Sequence[str]) -> None:
        """Write down that these are about to come and go; again: nothing happens."""
        names = (*self.roster.names, *(name for name in come if name not in self.roster.names))
        await self._keep(replace(self.roster, names=names, coming=tuple(come), going=tuple(go)))

    async def end(self, gone: Collection[str]) -> None:
        """Write down that the change is over, and that these are not there any more."""
        names = tuple(name for name in self.roster.names if name not in gone)
        await self._keep(replace(self.roster, names=names, coming=(), going=()))
        for name in gone:
            self._planned.pop(name, None)

    async def bar(self, node: Node) -> None:
        """Have no role on this machine from now on."""
        await self._keep(replace(self.roster, barred=tuple({*self.roster.barred, node.id})))

    async def unbar(self, node: Node) -> None:
        """Have roles on this machine again."""
        await self._keep(replace(self.roster, barred=tuple(set(self.roster.barred) - {node.id})))

    # --- who sits where ---------------------------------------------------------------------------

    def seat(self, name: str) -> str:
        """Return the name of the process that a role or a spare is in; its own, if they never traded."""
        return self.roster.seats.get(name, name)

    def trade(self, one: str, other: str) -> None:
        """Two have traded their processes; `write_down` has it outlive us."""
        seats = self.roster.seats | {one: self.seat(other), other: self.seat(one)}
        self.roster = replace(self.roster, seats={who: seat for who, seat in seats.items() if who != seat})

    async def write_down(self) -> None:
        """Store the roster as it is; raises as the store does."""
        async with self._writing:
            await self._store.put_roster(self.roster)

    # --- roles and their places -------------------------------------------------------------------

    def add(self, name: str, *, may_own: bool) -> None:
        """Look after a role, on the machine that was planned or suits best; again: nothing happens."""
        if name in self._crew.keepers:
            return
        role = role_of(name)
        node_id = self._planned.setdefault(name, self.place_for(role))
        self._crew.add(self._hire(role, name, node_id), may_own=may_own)

    def place_for(self, role: str) -> str:
        """Return the id of the machine for one more of the role, '' where there is none."""
        return choose(role, list(self.seats().values()), self.open_nodes())

    def plan(self, name: str, node_id: str) -> None:
        """Have a role that is not there yet made on this machine."""
        self._planned[name] = node_id

    def seats(self) -> dict[str, Seat]:
        """Return where each role is, or is to be."""
        seats: dict[str, Seat] = {}
        for member in self._crew.membership.members():
            node_id = member.alive.node_id if member.alive is not None else self._planned.get(member.name, "")
            seats[member.name] = Seat(member.role, node_id)
        return seats

    def open_nodes(self) -> list[Node]:
        """Return the machines that may have roles."""
        return [node for node in self.nodes if node.id not in self.roster.barred]

    def is_open(self, node_id: str) -> bool:
        """Say whether roles may be on this machine."""
        return any(node.id == node_id for node in self.open_nodes())

    def node(self, target: str) -> Node | None:
        """Return the machine with this address, host name or id."""
        return next((n for n in self.nodes if target in (n.address, n.hostname, n.id)), None)

    def of(self, role: str) -> list[str]:
        """Return the names of the role's members, the oldest first."""
        return sorted((each.name for each in self._crew.of(role)), key=_number_of)

    def fresh(self, role: str, count: int) -> list[str]:
        """Return so many names, none used since we started: Ray frees a name some time after its end."""
        used = max([self._used.get(role, 0), *map(_number_of, self.of(role))])
        self._used[role] = used + max(count, 0)
        return [f"{role}-{number}" for number in range(used + 1, used + count + 1)]

    def rows(self) -> list[dict[str, Any]]:
        """Return the machines for ``roost status``."""
        seats = Counter(seat.node_id for seat in self.seats().values())
        return [
            {
                "node": node.address,
                "id": node.id,
                "hostname": node.hostname,
                "cpus": node.cpus,
                "roles": seats[node.id],
                "drained": node.id in self.roster.barred,
            }
            for node in self.nodes
        ]

    async def _keep(self, roster: Roster) -> None:
        async with self._writing:
            if roster != self.roster:
                await self._store.put_roster(roster)
                self.roster = replace(roster, seats=self.roster.seats)  # they may have traded meanwhile


def role_of(name: str) -> str:
    """Return the role in a name such as ``host-2``."""
    return name.rpartition("-")[0]


def _number_of(name: str) -> int:
    return int(name.rpartition("-")[2])
