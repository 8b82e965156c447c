"""Every change of the crew is one exchange: some roles come, others go.

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
from cluster.control.roles import Crew
from cluster.control.roster import Seating
from cluster.control.supervisor import RoleKeeper
from roost.errors import RoostError

_STEP_S: Final = 0.05
_COME_S: Final = 60.0
_HAND_OVER_S: Final = 30.0

log = structlog.get_logger()


class Refused(RoostError):  # noqa: N818 -- named for what happened
    """The change cannot be made; the sentence says what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__("invalid", detail)


class Exchange:
    """Carries out changes, one at a time."""

    def __init__(self, crew: Crew, seating: Seating, redraw: Callable[[], Awaitable[None]]) -> None:
        self._crew, self._seating, self._redraw = crew, seating, redraw

    async def make(self, come: Sequence[str], go: Sequence[str], tell: Callable[[str], None]) -> list[str]:
        """Let some come and others go, as one change of the map.

        Args:
            come: New names, or those of an exchange that was not finished.
            go: Names of those who leave.
            tell: Takes a line for people about each step that is done.

        Returns:
            What those who left had to give up, a sentence each.

        Raises:
            Refused: It cannot be; whoever can goes on as before.
            Unavailable: The store is away; call it again with the same names.
        """
        began = time.monotonic()
        await self._seating.begin(come, go)
        for name in come:
            self._seating.add(name, may_own=False)
        leaving = [self._crew.keepers[name] for name in go if name in self._crew.keepers]
        await self._arrived(come, leaving)
        await self._each_host(leaving, "leaving")
        self._crew.membership.exchange(come, [keeper.name for keeper in leaving])
        await self._redraw()
        await self._handed_over(leaving)
        if come:
            tell(f"{', '.join(come)} at work after {time.monotonic() - began:.1f} s.")
        for keeper, farewell in await self._each_host(leaving, "handover_report"):
            tell(_told(keeper.name, farewell))
            if farewell["missing"]:
                await self._seating.end([])
                raise Refused(f"{keeper.name} stays: entries that it had are in no store. See its log.")
        given_up = await asyncio.gather(*(self._crew.dismiss(keeper) for keeper in leaving))
        await self._seating.end(go)
        if go:
            tell(f"{', '.join(go)} stopped after {time.monotonic() - began:.1f} s.")
        return [each for of in given_up for each in of]

    async def _arrived(self, come: Sequence[str], leaving: Sequence[RoleKeeper]) -> None:
        """Wait until everybody who comes answers and has the map; if somebody does not, nobody comes."""
        keepers = [self._crew.keepers[name] for name in come]
        try:
            async with asyncio.timeout(_COME_S):
                while not all(self._crew.running(each) and each.current for each in keepers):  # noqa: ASYNC110
                    await asyncio.sleep(_STEP_S)
        except TimeoutError:
            reasons = ", ".join(f"{each.name} ({each.failure or 'no answer'})" for each in keepers)
            await asyncio.gather(*(self._crew.dismiss(keeper) for keeper in keepers))
            await self._stay(leaving, gone=come)
            raise Refused(
                f"Not everybody came within {_COME_S:g} s, so nothing was changed: {reasons}."
            ) from None

    async def _handed_over(self, leaving: Sequence[RoleKeeper]) -> None:
        """Wait until those who leave own nothing and have stored what they had; who is away has nothing."""
        deadline = asyncio.get_running_loop().time() + _HAND_OVER_S
        for keeper in leaving:
            while self._crew.running(keeper) and not await self._idle(keeper):
                if asyncio.get_running_loop().time() > deadline:
                    await self._stay(leaving, gone=[])
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

    async def _stay(self, leaving: Sequence[RoleKeeper], gone: Sequence[str]) -> None:
        """Let those who were to leave go on; the exchange is over."""
        self._crew.membership.exchange([keeper.name for keeper in leaving], [])
        await self._each_host(leaving, "staying")
        await self._seating.end(gone)

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


def _told(name: str, farewell: Mapping[str, Any]) -> str:
    return (
        f"{name} had {farewell['before']} unacknowledged entries of {farewell['users']} users: "
        f"{farewell['after']} are in the store, {farewell['acknowledged']} were acknowledged meanwhile, "
        f"{farewell['missing']} are missing."
    )
