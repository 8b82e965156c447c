"""How many of each role there are, and on which machine: the roster, and every change of it.

Every change is one *exchange*: those who come are made first and own nothing. When all of them answer, one
new map takes the shards from those who go and gives those who come their share, so that each shard moves
once. Then the leavers store what they have, say what became of it, and are stopped.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from actors.ray_actor import RoleAway, RoleFailed
from actors.service import Node
from cluster.crew import Crew
from cluster.keeper import RoleKeeper
from cluster.membership import Membership
from cluster.seats import ROLES, Seat, choose, next_move
from roost.errors import RoostError, Unavailable
from storage.ports import ClusterState
from storage.records import Roster

_UPGRADE_ORDER: Final = ("pusher", "router", "host", "gateway")
"""Who reads what others write comes before them."""

_LOOK_EVERY_S: Final = 1.0
_STEP_S: Final = 0.05
_COME_S: Final = 60.0
_HAND_OVER_S: Final = 30.0
_CALM_S: Final = 10.0
"""Machines and roles have been as they are for this long before one moves for the balance alone."""

_LANDED_ELSEWHERE_S: Final = 60.0
"""The pause after Ray has put a role on another machine than the one it was meant for."""

log = structlog.get_logger()

Hire = Callable[[str, str, str], RoleKeeper]
"""Makes the keeper of a role from the role, its name and the machine's id."""


class Refused(RoostError):  # noqa: N818 -- named for what happened
    """The change cannot be made; the sentence says what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__("invalid", detail)


class Work(Struct):
    """An operator's wish while it is carried out.

    Attributes:
        lines: What was done so far, for people.
        done: It is over.
        failure: Why it did not come about, '' if it did.
    """

    lines: list[str]
    done: bool = False
    failure: str = ""


class Staffing:
    """Keeps the roster.

    Attributes:
        nodes: The machines that were there when last looked.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        store: ClusterState,
        crew: Crew,
        *,
        hire: Hire,
        machines: Callable[[], Sequence[Node]],
        redraw: Callable[[], Awaitable[None]],
    ) -> None:
        self._counts, self._store, self._crew = dict(counts), store, crew
        self._membership: Membership = crew.membership
        self._hire, self._machines, self._redraw = hire, machines, redraw
        self._roster = Roster(self._counts, ())
        self._planned: dict[str, str] = {}
        self._used: dict[str, int] = {}
        self._changing = asyncio.Lock()
        self._works: list[Work] = []
        self._calm_since = self._still_until = 0.0
        self._picture: object = None
        self.nodes: list[Node] = []

    # --- at the start -----------------------------------------------------------------------------

    async def open(self) -> None:
        """Read who there is to be, and look after them; raises as the store does."""
        known = await self._store.roster()
        if known is None or known.counts != self._counts:
            names = tuple(f"{role}-{n}" for role in ROLES for n in range(1, self._counts[role] + 1))
            known = Roster(self._counts, names)
            await self._store.put_roster(known)
        self._roster = known
        await self._look()
        for name in known.names:
            if name not in self._crew.keepers:
                self._add(name, may_own=True)

    async def watch(self) -> None:
        """For ever: look which machines there are, and move a role where they make that worth it."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self._look()
                await self._balance()
            except (Unavailable, Refused) as exc:
                log.warning("balance_postponed", reason=exc.detail)

    # --- what operators wish ----------------------------------------------------------------------

    def begin(self, wish: Mapping[str, Any]) -> tuple[int, Coroutine[Any, Any, None]]:
        """Return the number of a work, to ask for it with `work`, and what carries it out.

        Args:
            wish: ``{"scale": {role: count}}``, ``{"drain": name of a role or machine}`` or
                ``{"upgrade": true}``.

        Raises:
            Refused: It makes no sense.
        """
        if "scale" in wish:
            plan = self._scale(self._checked(wish["scale"]))
        elif "drain" in wish:
            plan = self._drain(str(wish["drain"]))
        else:
            plan = self._upgrade
        work = Work([])
        self._works.append(work)
        return len(self._works) - 1, self._carry_out(work, plan)

    def work(self, number: int) -> Work:
        """Return how far a work is.

        Raises:
            Refused: There is none of this number: the coordinator has restarted since.
        """
        if not 0 <= number < len(self._works):
            raise Refused("The coordinator has restarted meanwhile; see `roost status`, and ask again.")
        return self._works[number]

    def rows(self) -> list[dict[str, Any]]:
        """Return the machines for ``roost status``."""
        seats = Counter(seat.node_id for seat in self._seats().values())
        return [
            {
                "node": node.address,
                "id": node.id,
                "hostname": node.hostname,
                "cpus": node.cpus,
                "roles": seats[node.id],
                "drained": node.id in self._roster.barred,
            }
            for node in self.nodes
        ]

    async def _carry_out(self, work: Work, plan: Callable[[Work], Awaitable[None]]) -> None:
        try:
            async with self._changing:
                await plan(work)
        except (Unavailable, Refused, RoleFailed) as exc:
            work.failure = getattr(exc, "detail", str(exc))
            log.warning("change_failed", reason=work.failure)
        except Exception:
            work.failure = "It failed in an unforeseen way; see the coordinator's log."
            raise
        finally:
            work.done = True

    @staticmethod
    def _checked(counts: Mapping[str, Any]) -> dict[str, int]:
        for role, count in counts.items():
            if role not in ROLES:
                raise Refused(f"There is no role {role!r} to scale; there are {', '.join(ROLES)}.")
            if not isinstance(count, int) or not 1 <= count <= 1000:  # noqa: PLR2004 -- said in the sentence
                raise Refused(f"{role}={count} is not possible: give a number from 1 to 1000.")
        return dict(counts)

    def _scale(self, counts: dict[str, int]) -> Callable[[Work], Awaitable[None]]:
        async def plan(work: Work) -> None:
            come: list[str] = []
            go: list[str] = []
            for role, count in counts.items():
                here = self._of(role)
                come += self._fresh(role, count - len(here))
                go += here[count:]
            await self._exchange(work, come, go)

        return plan

    def _drain(self, target: str) -> Callable[[Work], Awaitable[None]]:
        if target in self._crew.keepers:
            return self._drain_role(target)
        for node in self.nodes:
            if target in (node.address, node.hostname, node.id):
                return self._drain_node(node)
        machines = ", ".join(sorted(node.address for node in self.nodes))
        raise Refused(f"There is no role and no machine {target!r}. The machines are {machines}.")

    def _drain_role(self, name: str) -> Callable[[Work], Awaitable[None]]:
        role = _role_of(name)
        if len(self._of(role)) == 1:
            raise Refused(f"{name} is the only {role}. Add one first: roost scale {role}=2.")

        async def plan(work: Work) -> None:
            await self._exchange(work, [], [name])

        return plan

    def _drain_node(self, node: Node) -> Callable[[Work], Awaitable[None]]:
        if node.head and len(self.nodes) == 1:
            raise Refused(f"{node.address} is the only machine. Let another one join first: ray start.")

        async def plan(work: Work) -> None:
            if not any(each.id != node.id for each in self._open_nodes()):
                raise Refused("Every other machine is drained, too. Let another one join first: ray start.")
            await self._keep(replace(self._roster, barred=(*self._roster.barred, node.id)))
            go = [name for name, seat in self._seats().items() if seat.node_id == node.id]
            come = [fresh for name in go for fresh in self._fresh(_role_of(name), 1)]
            await self._exchange(work, come, go)
            what = "Ray's head and the coordinator stay there" if node.head else "it may go"
            work.lines.append(f"{node.address}: {len(go)} roles moved away; {what}.")

        return plan

    async def _upgrade(self, work: Work) -> None:
        """Put a new process in the place of each, one after the other: it runs what is installed now."""
        seats = self._seats()
        for name in [name for role in _UPGRADE_ORDER for name in self._of(role)]:
            [fresh] = self._fresh(_role_of(name), 1)
            self._planned[fresh] = seats[name].node_id
            await self._exchange(work, [fresh], [name])

    # --- the one change ---------------------------------------------------------------------------

    async def _exchange(self, work: Work, come: Sequence[str], go: Sequence[str]) -> None:
        """Let some come and others go, as one change of the map."""
        began = time.monotonic()
        if come:
            await self._keep(replace(self._roster, names=(*self._roster.names, *come)))
            for name in come:
                self._add(name, may_own=False)
            await self._arrived(come)
        leaving = [self._crew.keepers[name] for name in go]
        await self._each_host(leaving, "leaving")
        self._membership.exchange(come, go)
        await self._redraw()
        await self._handed_over(leaving)
        if come:
            work.lines.append(f"{', '.join(come)} at work after {time.monotonic() - began:.1f} s.")
        for keeper, farewell in await self._each_host(leaving, "farewell"):
            work.lines.append(_told(keeper.name, farewell))
            if farewell["missing"]:
                raise Refused(f"{keeper.name} stays: entries that it had are in no store. See its log.")
        await asyncio.gather(*(self._crew.dismiss(keeper) for keeper in leaving))
        await self._strike(go)
        for name in go:
            self._planned.pop(name, None)
        if go:
            work.lines.append(f"{', '.join(go)} stopped after {time.monotonic() - began:.1f} s.")

    async def _arrived(self, come: Sequence[str]) -> None:
        """Wait until everybody who comes answers and has the map; if somebody does not, nobody comes."""
        keepers = [self._crew.keepers[name] for name in come]
        try:
            await self._until(
                lambda: all(self._crew.running(each) and each.current for each in keepers), _COME_S
            )
        except TimeoutError:
            reasons = ", ".join(f"{each.name} ({each.failure or 'no answer'})" for each in keepers)
            await asyncio.gather(*(self._crew.dismiss(keeper) for keeper in keepers))
            await self._strike(come)
            raise Refused(
                f"Not everybody came within {_COME_S:g} s, so nothing was changed: {reasons}."
            ) from None

    async def _handed_over(self, leaving: Sequence[RoleKeeper]) -> None:
        """Wait until those who leave own nothing and have stored what they had; who is away has nothing."""
        deadline = asyncio.get_running_loop().time() + _HAND_OVER_S
        for keeper in leaving:
            while self._crew.running(keeper) and not await self._idle(keeper):
                if asyncio.get_running_loop().time() > deadline:
                    self._membership.exchange([each.name for each in leaving], [])
                    raise Refused(
                        f"{keeper.name} did not hand over within {_HAND_OVER_S:g} s and goes on. "
                        "See `roost status`: are all roles running?"
                    )
                await asyncio.sleep(_STEP_S)

    async def _idle(self, keeper: RoleKeeper) -> bool:
        living = [each for each in self._crew.keepers.values() if self._crew.running(each)]
        if not all(each.current for each in living):
            return False
        try:
            figures = await keeper.handle.status()
        except (RoleAway, RoleFailed):
            return False
        return not figures.get("shards", 0) and not figures.get("waiting", 0)

    async def _each_host(
        self, keepers: Iterable[RoleKeeper], act: str
    ) -> list[tuple[RoleKeeper, dict[str, Any]]]:
        """Tell the hosts among them something; returns the answers of those who are there."""
        answers: list[tuple[RoleKeeper, dict[str, Any]]] = []
        for keeper in keepers:
            if keeper.role == "host" and self._crew.running(keeper):
                try:
                    answers.append((keeper, await keeper.handle.tell({"act": act})))
                except RoleAway as exc:
                    log.warning("leaver_gone", role_name=keeper.name, reason=exc.detail)
        return answers

    # --- balance ----------------------------------------------------------------------------------

    async def _balance(self) -> None:
        """Move one role, if machines came, went or were drained and everything else is calm."""
        seats = self._seats()
        if self._changing.locked() or len(self.nodes) < 2:  # noqa: PLR2004 -- one machine has nowhere to move to
            return
        if not self._is_calm((seats, self._roster, [node.id for node in self.nodes])):
            return
        move = next_move(seats, self._open_nodes())
        if move is None:
            return
        name, node_id = move
        work = Work([])
        async with self._changing:
            [fresh] = self._fresh(seats[name].role, 1)
            self._planned[fresh] = node_id
            await self._exchange(work, [fresh], [name])
        landed = self._seats()[fresh].node_id
        if landed == node_id:
            log.info("role_moved", role_name=name, to=node_id, lines=work.lines)
        else:  # the same move again would lead there again
            log.warning("role_landed_elsewhere", role_name=fresh, wanted=node_id, landed=landed)
            self._still_until = asyncio.get_running_loop().time() + _LANDED_ELSEWHERE_S

    def _is_calm(self, picture: object) -> bool:
        now = asyncio.get_running_loop().time()
        running = all(self._crew.running(each) for each in self._crew.keepers.values())
        if picture != self._picture or not running:
            self._picture, self._calm_since = picture, now
        return now - self._calm_since > _CALM_S and now > self._still_until

    # --- parts ------------------------------------------------------------------------------------

    def _add(self, name: str, *, may_own: bool) -> None:
        role = _role_of(name)
        node_id = self._planned.setdefault(
            name, choose(role, list(self._seats().values()), self._open_nodes())
        )
        self._crew.add(self._hire(role, name, node_id), may_own=may_own)

    def _seats(self) -> dict[str, Seat]:
        """Return where each role is, or is to be."""
        seats: dict[str, Seat] = {}
        for member in self._membership.members():
            node_id = member.alive.node_id if member.alive is not None else self._planned.get(member.name, "")
            seats[member.name] = Seat(member.role, node_id)
        return seats

    def _open_nodes(self) -> list[Node]:
        return [node for node in self.nodes if node.id not in self._roster.barred]

    def _of(self, role: str) -> list[str]:
        """Return the names of the role's members, the oldest first."""
        return sorted((each.name for each in self._crew.of(role)), key=_number_of)

    def _fresh(self, role: str, count: int) -> list[str]:
        """Return so many names, none used since we started: Ray frees a name some time after its end."""
        used = max([self._used.get(role, 0), *map(_number_of, self._of(role))])
        self._used[role] = used + max(count, 0)
        return [f"{role}-{number}" for number in range(used + 1, used + count + 1)]

    async def _look(self) -> None:
        try:
            self.nodes = sorted(await asyncio.to_thread(self._machines), key=lambda node: node.address)
        except RoleAway as exc:
            log.warning("machines_unknown", reason=exc.detail)
            return
        there = {node.id for node in self.nodes}
        if gone := set(self._roster.barred) - there:
            await self._keep(replace(self._roster, barred=tuple(set(self._roster.barred) - gone)))

    async def _strike(self, gone: Sequence[str]) -> None:
        """Take names from the roster."""
        names = tuple(name for name in self._roster.names if name not in gone)
        await self._keep(replace(self._roster, names=names))

    async def _keep(self, roster: Roster) -> None:
        await self._store.put_roster(roster)
        self._roster = roster

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 -- of many roles, each with its own loop
                await asyncio.sleep(_STEP_S)


def _role_of(name: str) -> str:
    return name.rpartition("-")[0]


def _number_of(name: str) -> int:
    return int(name.rpartition("-")[2])


def _told(name: str, farewell: Mapping[str, Any]) -> str:
    return (
        f"{name} had {farewell['before']} unacknowledged entries of {farewell['users']} users: "
        f"{farewell['after']} are in the store, {farewell['acknowledged']} were acknowledged meanwhile, "
        f"{farewell['missing']} are missing."
    )
