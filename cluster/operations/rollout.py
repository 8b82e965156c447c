"""A rollout: some roles come, others go. Every change of the roles is one.

Those who come are made first and own nothing. When all of them answer, one new map takes the shards from
those who go and gives those who come their share, so that each shard moves once. Then the leavers store what
they have, say what became of it, and are stopped.

Each step can be the last one before a crash, or before the store is away: the roster says who was coming and
going, and the same call made again goes on from there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog

from actors.ray_actor import RoleAway, RoleFailed
from cluster.operations.roster import Roster, role_of
from cluster.supervision.roles import Roles
from cluster.supervision.supervisor import Supervisor
from roost.errors import RoostError

_STEP_S: Final = 0.05
_COME_S: Final = 60.0
_HAND_OVER_S: Final = 30.0

log = structlog.get_logger()


class OperationRefused(RoostError):  # noqa: N818 -- named for what happened
    """The change cannot be made; the sentence says what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__("invalid", detail)


class Rollout:
    """Carries out changes.

    Args:
        roles: All of them.
        roster: Which there are to be, and where.
        redraw: Draws the map again.

    Attributes:
        exclusive: Held by whoever makes a change, of one rollout or several: there is one at a time.
    """

    def __init__(self, roles: Roles, roster: Roster, redraw: Callable[[], Awaitable[None]]) -> None:
        self._roles, self._roster, self._redraw = roles, roster, redraw
        self.exclusive = asyncio.Lock()

    async def replace(self, name: str, node_id: str, tell: Callable[[str], None]) -> tuple[str, list[str]]:
        """Put a new process in the place of one, on this machine; returns its name, and what was given up."""
        [fresh] = self._roster.fresh(role_of(name), 1)
        self._roster.plan(fresh, node_id)
        return fresh, await self.run([fresh], [name], tell)

    async def finish(self) -> list[str]:
        """Go on with a rollout that ended in the middle, with its coordinator or its store.

        Another one that began before that would be written down in its place: whoever has come for it stays
        for good, and whoever was to go does.

        Returns:
            A line for people about each step that is done.
        """
        stored = self._roster.stored
        lines: list[str] = []
        if stored.coming or stored.going:
            await self.run(stored.coming, stored.going, lines.append)
            log.info("rollout_finished", lines=lines)
        return lines

    async def run(self, come: Sequence[str], go: Sequence[str], tell: Callable[[str], None]) -> list[str]:
        """Let some come and others go, as one change of the map.

        Args:
            come: New names, or those of an exchange that was not finished.
            go: Names of those who leave.
            tell: Takes a line for people about each step that is done.

        Returns:
            What those who left had to give up, a sentence each.

        Raises:
            OperationRefused: It cannot be; whoever can goes on as before.
            Unavailable: The store is away; call it again with the same names.
        """
        began = time.monotonic()
        await self._roster.begin_change(come, go)
        for name in come:
            self._roster.add(name, may_own=False)
        leaving = [self._roles.supervisors[name] for name in go if name in self._roles.supervisors]
        await self._arrived(come, leaving)
        await self._each_host(leaving, "leaving")
        self._roles.membership.admit(come, [supervisor.name for supervisor in leaving])
        await self._redraw()
        await self._handed_over(come, leaving)
        if come:
            tell(f"{', '.join(come)} at work after {time.monotonic() - began:.1f} s.")
        for supervisor, report in await self._each_host(leaving, "handover_report"):
            tell(_told(supervisor.name, report))
            if report["missing"]:
                await self._roster.end_change([])
                raise OperationRefused(
                    f"{supervisor.name} stays: entries that it had are in no store. See its log."
                )
        given_up = await asyncio.gather(*(self._roles.dismiss(supervisor) for supervisor in leaving))
        await self._roster.end_change(go)
        if go:
            tell(f"{', '.join(go)} stopped after {time.monotonic() - began:.1f} s.")
        return [each for of in given_up for each in of]

    async def _arrived(self, come: Sequence[str], leaving: Sequence[Supervisor]) -> None:
        """Wait until every role that comes answers and has the map; if one does not, none comes."""
        supervisors = [self._roles.supervisors[name] for name in come]
        try:
            async with asyncio.timeout(_COME_S):
                while not all(self._roles.running(each) and each.current for each in supervisors):  # noqa: ASYNC110
                    await asyncio.sleep(_STEP_S)
        except TimeoutError:
            reasons = ", ".join(f"{each.name} ({each.failure or 'no answer'})" for each in supervisors)
            await self._take_back(come, leaving)
            raise OperationRefused(
                f"Not every role started within {_COME_S:g} s, so nothing was changed: {reasons}."
            ) from None

    async def _handed_over(self, come: Sequence[str], leaving: Sequence[Supervisor]) -> None:
        """Wait until those who leave own nothing and have stored what they had; who is away has nothing."""
        deadline = asyncio.get_running_loop().time() + _HAND_OVER_S
        for supervisor in leaving:
            while self._roles.running(supervisor) and not await self._idle(supervisor):
                if asyncio.get_running_loop().time() > deadline:
                    await self._take_back(come, leaving)
                    raise OperationRefused(
                        f"{supervisor.name} did not hand over within {_HAND_OVER_S:g} s and goes on, "
                        "so nothing was changed. See `roost status`: are all roles running?"
                    )
                await asyncio.sleep(_STEP_S)

    async def _idle(self, supervisor: Supervisor) -> bool:
        living = [each for each in self._roles.supervisors.values() if self._roles.running(each)]
        if not all(each.current for each in living):
            return False
        try:
            figures = await supervisor.handle.status()
        except (RoleAway, RoleFailed):
            return False
        return not figures.get("shards", 0) and not figures.get("waiting", 0)

    async def _take_back(self, come: Sequence[str], leaving: Sequence[Supervisor]) -> None:
        """Let those who were to leave go on, with their shards, and end those who came for them."""
        self._roles.membership.admit([supervisor.name for supervisor in leaving], come)
        await self._each_host(leaving, "staying")
        await self._redraw()
        await asyncio.gather(*(self._roles.dismiss(self._roles.supervisors[name]) for name in come))
        await self._roster.end_change(come)

    async def _each_host(
        self, supervisors: Iterable[Supervisor], act: str
    ) -> list[tuple[Supervisor, dict[str, Any]]]:
        """Tell the hosts among them something; returns the answers of those who are there."""
        answers: list[tuple[Supervisor, dict[str, Any]]] = []
        for supervisor in supervisors:
            if supervisor.role == "host" and self._roles.running(supervisor):
                try:
                    answers.append((supervisor, await supervisor.handle.tell({"act": act})))
                except RoleAway as exc:
                    log.warning("leaver_gone", role_name=supervisor.name, reason=exc.detail)
        return answers


def _told(name: str, report: Mapping[str, Any]) -> str:
    return (
        f"{name} had {report['before']} unacknowledged entries of {report['users']} users: "
        f"{report['after']} are in the store, {report['acknowledged']} were acknowledged meanwhile, "
        f"{report['missing']} are missing."
    )
