"""The plans behind operators' requests: scale, add shards, drain, undrain, upgrade."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct, field

from actors.ray_actor import RELEASE
from actors.service import Node
from cluster.log.growth import NotGrown, more_for, refusal
from cluster.log.lifecycle import LogLifecycle
from cluster.operations.node_placement import ROLES
from cluster.operations.rollout import OperationRefused, Rollout
from cluster.operations.roster import Roster, role_of
from cluster.supervision.roles import Roles
from roost.errors import Unavailable

_UPGRADE_ORDER: Final = ("pusher", "router", "host", "gateway")
"""Who reads what others write comes before them."""


class Operation(Struct):
    """An operator's request while it is carried out.

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


Plan = Callable[[Operation], Awaitable[None]]


class Plans:
    """Makes the plan of each request, or refuses it (`OperationRefused`) where it makes no sense.

    Args:
        roles: All of them.
        roster: Which there are to be, and where.
        rollout: Changes it.
        lifecycle: Adds shards.
        clear: Ends the spares on a machine, by its id; returns how many there were.
    """

    def __init__(
        self,
        roles: Roles,
        roster: Roster,
        rollout: Rollout,
        lifecycle: LogLifecycle,
        clear: Callable[[str], Awaitable[int]],
    ) -> None:
        self._roles, self._roster, self._rollout, self._clear = roles, roster, rollout, clear
        self._log = lifecycle

    def scale(self, counts: Mapping[str, int]) -> Plan:
        """Have so many of these roles."""
        _check(counts)

        async def plan(operation: Operation) -> None:
            come: list[str] = []
            go: list[str] = []
            for role, count in counts.items():
                here = self._roster.of(role)
                come += self._roster.fresh(role, count - len(here))
                go += here[count:]
            operation.given_up += await self._rollout.run(come, go, operation.lines.append)
            operation.lines += [line for role, count in counts.items() if (line := self._idle(role, count))]

        return plan

    def _idle(self, role: str, count: int) -> str:
        """Return a line about those who have no shard, '' if each can have one."""
        shards = self._log.topics.shards
        if role == "gateway" or count <= shards:
            return ""
        more = more_for(count, shards)
        fix = f"More shards: roost scale shards={more}." if more else ""
        nothing = f"There are {shards} shards, so {count - shards} of the {count} {role}s have nothing to do."
        return f"{nothing} {fix}".strip()

    def grow(self, wanted: int) -> Plan:
        """Have so many shards."""
        if reason := refusal(self._log.topics.shards, wanted):
            raise OperationRefused(reason)

        async def plan(operation: Operation) -> None:
            before = self._log.topics.shards
            if wanted == before:
                operation.lines.append(f"There are {before} shards already; nothing was changed.")
                return
            if reason := refusal(before, wanted) or self._unready():
                raise OperationRefused(reason)
            began = time.monotonic()

            def tell(stage: str) -> None:
                operation.stage = stage

            try:
                await self._log.grow(wanted, tell)
            except NotGrown as exc:
                raise OperationRefused(str(exc)) from exc
            except Unavailable as exc:
                raise OperationRefused(
                    f"Nothing was changed: {exc.detail} See `roost status`, and ask again."
                ) from exc
            operation.lines.append(
                f"{wanted} shards after {time.monotonic() - began:.1f} s, {before} before. ROOST_SHARDS "
                "counts at the first start only, and needs no change."
            )
            operation.lines += [self._share(role) for role in ("host", "router", "pusher")]

        return plan

    def _unready(self) -> str:
        """Return why shards cannot be added now: every role must be there and run this release."""
        away = [each.name for each in self._roles.supervisors.values() if not self._roles.running(each)]
        if away:
            return f"Nothing was changed: {', '.join(away)} does not run. See `roost status`, and ask again."
        alive = [member.alive for member in self._roles.membership.members() if member.alive is not None]
        if any(each.release != RELEASE for each in alive):
            return "Nothing was changed: the roles run several releases. First: roost upgrade."
        return ""

    def _share(self, role: str) -> str:
        count, shards = len(self._roster.of(role)), self._log.topics.shards
        least, more = divmod(shards, count)
        share = f"{least} to {least + 1}" if more else str(least)
        owners = f"{count} {role}s have {share} shards each" if count > 1 else f"1 {role} has all of them"
        return f"{owners}; more {role}s share them: roost scale {role}={2 * count}."

    def drain(self, target: str) -> Plan:
        """Move everything off a role or a machine, by its name."""
        return self._drain_role(target) if target in self._roles.supervisors else self._drain_node(target)

    def _drain_role(self, name: str) -> Plan:
        role = role_of(name)
        if len(self._roster.of(role)) == 1:
            raise OperationRefused(f"{name} is the only {role}. Add one first: roost scale {role}=2.")

        async def plan(operation: Operation) -> None:
            operation.given_up += await self._rollout.run([], [name], operation.lines.append)

        return plan

    def _drain_node(self, target: str) -> Plan:
        node = self._machine(target)
        if node.head and len(self._roster.nodes) == 1:
            raise OperationRefused(
                f"{node.address} is the only machine. Let another one join first: ray start."
            )

        async def plan(operation: Operation) -> None:
            if not any(each.id != node.id for each in self._roster.open_nodes()):
                raise OperationRefused(
                    "Every other machine is drained, too. Let another one join first: ray start."
                )
            await self._roster.cordon(node)
            go = [
                name for name, placement in self._roster.placements().items() if placement.node_id == node.id
            ]
            come = [fresh for name in go for fresh in self._roster.fresh(role_of(name), 1)]
            operation.given_up += await self._rollout.run(come, go, operation.lines.append)
            spares = await self._clear(node.id)
            others = f" and {spares} spare{'s' if spares > 1 else ''}" if spares else ""
            what = "Ray's head and the coordinator stay there" if node.head else "it may go"
            operation.lines.append(f"{node.address}: {len(go)} roles{others} moved away; {what}.")

        return plan

    def undrain(self, target: str) -> Plan:
        """Have roles on a machine again."""
        node = self._machine(target)

        async def plan(operation: Operation) -> None:
            await self._roster.uncordon(node)
            operation.lines.append(f"{node.address} has roles again; its share moves there, one by one.")

        return plan

    def _machine(self, target: str) -> Node:
        node = self._roster.node(target)
        if not self._roster.nodes:
            raise OperationRefused(
                "Nothing was changed: the coordinator is starting, and has yet to see the machines. "
                "Ask again in a moment."
            )
        if node is None:
            machines = ", ".join(node.address for node in self._roster.nodes)
            raise OperationRefused(
                f"There is no role and no machine {target!r}. The machines are {machines}."
            )
        return node

    async def upgrade(self, operation: Operation) -> None:
        """Put a new process in the place of each, one after the other: it runs what is installed now."""
        placements = self._roster.placements()
        for name in [name for role in _UPGRADE_ORDER for name in self._roster.of(role)]:
            _, given_up = await self._rollout.replace(name, placements[name].node_id, operation.lines.append)
            operation.given_up += given_up


def _check(counts: Mapping[str, int]) -> None:
    for role, count in counts.items():
        if role not in ROLES:
            raise OperationRefused(f"There is no role {role!r} to scale; there are {', '.join(ROLES)}.")
        if not isinstance(count, int) or not 1 <= count <= 1000:  # noqa: PLR2004 -- said in the sentence
            raise OperationRefused(f"{role}={count} is not possible: give a number from 1 to 1000.")
