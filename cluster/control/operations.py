"""How many of each role there are, and on which machine: what operators wish, and the balance of machines."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

import structlog
from msgspec import Struct, field

from actors.ray_actor import RELEASE, RoleFailed
from actors.service import Node
from cluster.control.growth import NotGrown, more_for, refusal
from cluster.control.node_placement import ROLES, next_move
from cluster.control.roles import Crew
from cluster.control.rollout import Exchange, Refused
from cluster.control.roster import Seating, role_of
from roost.errors import Unavailable

_UPGRADE_ORDER: Final = ("pusher", "router", "host", "gateway")
"""Who reads what others write comes before them."""

_LOOK_EVERY_S: Final = 1.0
_CALM_S: Final = 10.0
"""Machines and roles have been as they are for this long before one moves for the balance alone."""

_LANDED_ELSEWHERE_S: Final = 60.0
"""The pause after Ray has put a role on another machine than the one it was meant for."""

log = structlog.get_logger()


class Work(Struct):
    """An operator's wish while it is carried out.

    Attributes:
        lines: What was done so far, for people.
        stage: What is being done, for people who wait.
        done: It is over.
        failure: Why it did not come about, or what was given up for it; '' if all is well.
        given_up: What those who left had to give up, a sentence each.
    """

    lines: list[str]
    stage: str = ""
    done: bool = False
    failure: str = ""
    given_up: list[str] = field(default_factory=list)


Plan = Callable[[Work], Awaitable[None]]


class Shards(Protocol):
    """The log, as far as its number of shards goes; see `cluster.control.log_lifecycle.LogKeeper`."""

    shards: int

    async def grow(self, shards: int, tell: Callable[[str], None]) -> None:
        """Add shards until there are so many."""
        ...


class Staffing:
    """Carries out wishes, moves roles between machines, and finishes what a coordinator before us began.

    Args:
        crew: Everybody.
        seating: Where everybody is.
        redraw: Draws the map anew.
        log_keeper: The log.
        clear: Ends the spares (`cluster.control.spares`) on a machine by its id; returns how many there were.
    """

    def __init__(
        self,
        crew: Crew,
        seating: Seating,
        redraw: Callable[[], Awaitable[None]],
        log_keeper: Shards,
        clear: Callable[[str], Awaitable[int]],
    ) -> None:
        self._crew, self._seating, self._log, self._clear = crew, seating, log_keeper, clear
        self._exchange = Exchange(crew, seating, redraw)
        self._changing = asyncio.Lock()
        self._works: list[Work] = []
        self._calm_since = self._still_until = 0.0
        self._picture: object = None

    async def watch(self) -> None:
        """For ever: look which machines there are, and move a role where they make that worth it."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self._seating.look()
                await self._finish()
                await self._balance()
            except (Unavailable, Refused, RoleFailed) as exc:
                log.warning("change_postponed", reason=_reason(exc))

    # --- what operators wish ----------------------------------------------------------------------

    def begin(self, wish: Mapping[str, Any]) -> tuple[int, Coroutine[Any, Any, None]]:
        """Return the number of a work, to ask for it with `work`, and what carries it out.

        Args:
            wish: ``{"scale": {role: count}}``, ``{"grow": number of shards}``, ``{"drain": name of a role or
                machine}``, ``{"undrain": name of a machine}`` or ``{"upgrade": true}``.

        Raises:
            Refused: It makes no sense.
        """
        if "scale" in wish:
            plan = self._scale(_checked(wish["scale"]))
        elif "grow" in wish:
            plan = self._grow(int(wish["grow"]))
        elif "drain" in wish:
            plan = self._drain(str(wish["drain"]))
        elif "undrain" in wish:
            plan = self._undrain(str(wish["undrain"]))
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
            raise Refused(
                "The coordinator has restarted meanwhile. It finishes the step that it was at: "
                "see `roost status`, and ask again for what is left."
            )
        return self._works[number]

    async def _carry_out(self, work: Work, plan: Plan) -> None:
        try:
            async with self._changing:
                await plan(work)
            work.failure = " ".join(work.given_up)
        except (Unavailable, Refused, RoleFailed) as exc:
            work.failure = _reason(exc)
            log.warning("change_failed", reason=work.failure)
        except Exception:
            work.failure = "It failed in an unforeseen way; see the coordinator's log."
            raise
        finally:
            work.done = True

    def _scale(self, counts: dict[str, int]) -> Plan:
        async def plan(work: Work) -> None:
            come: list[str] = []
            go: list[str] = []
            for role, count in counts.items():
                here = self._seating.of(role)
                come += self._seating.fresh(role, count - len(here))
                go += here[count:]
            work.given_up += await self._exchange.make(come, go, work.lines.append)
            work.lines += [line for role, count in counts.items() if (line := self._idle(role, count))]

        return plan

    def _idle(self, role: str, count: int) -> str:
        """Return a line about those who have no shard, '' if each can have one."""
        shards = self._log.shards
        if role == "gateway" or count <= shards:
            return ""
        more = more_for(count, shards)
        fix = f"More shards: roost scale shards={more}." if more else ""
        nothing = f"There are {shards} shards, so {count - shards} of the {count} {role}s have nothing to do."
        return f"{nothing} {fix}".strip()

    def _grow(self, wanted: int) -> Plan:
        if reason := refusal(self._log.shards, wanted):
            raise Refused(reason)

        async def plan(work: Work) -> None:
            before = self._log.shards
            if wanted == before:
                work.lines.append(f"There are {before} shards already; nothing was changed.")
                return
            if reason := refusal(before, wanted) or self._unready():
                raise Refused(reason)
            began = time.monotonic()

            def tell(stage: str) -> None:
                work.stage = stage

            try:
                await self._log.grow(wanted, tell)
            except NotGrown as exc:
                raise Refused(str(exc)) from exc
            except Unavailable as exc:
                raise Refused(
                    f"Nothing was changed: {exc.detail} See `roost status`, and ask again."
                ) from exc
            work.lines.append(
                f"{wanted} shards after {time.monotonic() - began:.1f} s, {before} before. ROOST_SHARDS "
                "counts at the first start only, and needs no change."
            )
            work.lines += [self._share(role) for role in ("host", "router", "pusher")]

        return plan

    def _unready(self) -> str:
        """Return why shards cannot be added now: everybody must be there, and run this release."""
        away = [each.name for each in self._crew.keepers.values() if not self._crew.running(each)]
        if away:
            return f"Nothing was changed: {', '.join(away)} does not run. See `roost status`, and ask again."
        alive = [member.alive for member in self._crew.membership.members() if member.alive is not None]
        if any(each.release != RELEASE for each in alive):
            return "Nothing was changed: the roles run several releases. First: roost upgrade."
        return ""

    def _share(self, role: str) -> str:
        count, shards = len(self._seating.of(role)), self._log.shards
        least, more = divmod(shards, count)
        share = f"{least} to {least + 1}" if more else str(least)
        owners = f"{count} {role}s have {share} shards each" if count > 1 else f"1 {role} has all of them"
        return f"{owners}; more {role}s share them: roost scale {role}={2 * count}."

    def _drain(self, target: str) -> Plan:
        return self._drain_role(target) if target in self._crew.keepers else self._drain_node(target)

    def _drain_role(self, name: str) -> Plan:
        role = role_of(name)
        if len(self._seating.of(role)) == 1:
            raise Refused(f"{name} is the only {role}. Add one first: roost scale {role}=2.")

        async def plan(work: Work) -> None:
            work.given_up += await self._exchange.make([], [name], work.lines.append)

        return plan

    def _drain_node(self, target: str) -> Plan:
        node = self._machine(target)
        if node.head and len(self._seating.nodes) == 1:
            raise Refused(f"{node.address} is the only machine. Let another one join first: ray start.")

        async def plan(work: Work) -> None:
            if not any(each.id != node.id for each in self._seating.open_nodes()):
                raise Refused("Every other machine is drained, too. Let another one join first: ray start.")
            await self._seating.bar(node)
            go = [name for name, seat in self._seating.seats().items() if seat.node_id == node.id]
            come = [fresh for name in go for fresh in self._seating.fresh(role_of(name), 1)]
            work.given_up += await self._exchange.make(come, go, work.lines.append)
            spares = await self._clear(node.id)
            others = f" and {spares} spare{'s' if spares > 1 else ''}" if spares else ""
            what = "Ray's head and the coordinator stay there" if node.head else "it may go"
            work.lines.append(f"{node.address}: {len(go)} roles{others} moved away; {what}.")

        return plan

    def _undrain(self, target: str) -> Plan:
        node = self._machine(target)

        async def plan(work: Work) -> None:
            await self._seating.unbar(node)
            work.lines.append(f"{node.address} has roles again; its share moves there, one by one.")

        return plan

    def _machine(self, target: str) -> Node:
        node = self._seating.node(target)
        if node is None:
            machines = ", ".join(node.address for node in self._seating.nodes)
            raise Refused(f"There is no role and no machine {target!r}. The machines are {machines}.")
        return node

    async def _upgrade(self, work: Work) -> None:
        """Put a new process in the place of each, one after the other: it runs what is installed now."""
        seats = self._seating.seats()
        for name in [name for role in _UPGRADE_ORDER for name in self._seating.of(role)]:
            await self._replace(name, seats[name].node_id, work)

    async def _replace(self, name: str, node_id: str, work: Work) -> str:
        """Put a new process in the place of one, on this machine; returns its name."""
        [fresh] = self._seating.fresh(role_of(name), 1)
        self._seating.plan(fresh, node_id)
        work.given_up += await self._exchange.make([fresh], [name], work.lines.append)
        return fresh

    # --- by itself --------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Go on with an exchange that ended in the middle, with its coordinator or its store."""
        roster = self._seating.roster
        if self._changing.locked() or not (roster.coming or roster.going):
            return
        work = Work([])
        async with self._changing:
            work.given_up += await self._exchange.make(roster.coming, roster.going, work.lines.append)
        log.info("change_finished", lines=work.lines)

    async def _balance(self) -> None:
        """Move one role, if machines came, went or were drained and everything else is calm."""
        seats, nodes = self._seating.seats(), self._seating.nodes
        if self._changing.locked() or len(nodes) < 2:  # noqa: PLR2004 -- one machine has nowhere to move to
            return
        if not self._is_calm((seats, self._seating.roster, [node.id for node in nodes])):
            return
        move = next_move(seats, self._seating.open_nodes())
        if move is None:
            return
        name, node_id = move
        work = Work([])
        async with self._changing:
            fresh = await self._replace(name, node_id, work)
        landed = self._seating.seats()[fresh].node_id
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


def _checked(counts: Mapping[str, Any]) -> dict[str, int]:
    for role, count in counts.items():
        if role not in ROLES:
            raise Refused(f"There is no role {role!r} to scale; there are {', '.join(ROLES)}.")
        if not isinstance(count, int) or not 1 <= count <= 1000:  # noqa: PLR2004 -- said in the sentence
            raise Refused(f"{role}={count} is not possible: give a number from 1 to 1000.")
    return dict(counts)


def _reason(exc: Unavailable | Refused | RoleFailed) -> str:
    return str(getattr(exc, "detail", exc))
