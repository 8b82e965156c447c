"""All roles at once: hold the writers, wait until the readers have finished, stop in order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from actors.service import ClusterView
from cluster.keeper import RoleKeeper
from cluster.membership import RUNNING, Membership

WRITERS: Final = ("gateway", "host")
_CALL_S: Final = 12.0
_PUBLISH_S: Final = 10.0
_DRAIN_S: Final = 10.0
_STOP_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class Crew:
    """The keepers of all roles; implements ``cluster.log_keeper.Crew``.

    Attributes:
        keepers: By name.
        membership: Who is there.
    """

    def __init__(self, membership: Membership, redraw: Callable[[], Awaitable[None]]) -> None:
        self.keepers: dict[str, RoleKeeper] = {}
        self.membership = membership
        self._redraw = redraw
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, keeper: RoleKeeper) -> None:
        """Look after one more role."""
        self.keepers[keeper.name] = keeper
        self.membership.expect(keeper.role, keeper.name, now_ms())
        self._tasks.append(asyncio.create_task(keeper.run(), name=f"keeper of {keeper.name}"))

    def show(self, view: ClusterView) -> None:
        """Hand the map to everybody."""
        for keeper in self.keepers.values():
            keeper.show(view)

    def of(self, *roles: str) -> list[RoleKeeper]:
        """Return the keepers of these roles."""
        return [each for each in self.keepers.values() if each.role in roles]

    def running(self, keeper: RoleKeeper) -> bool:
        """Say whether the role answers."""
        return self.membership.state(keeper.name, now_ms()) == RUNNING

    # --- cluster.log_keeper.Crew ------------------------------------------------------------------

    def lives(self) -> dict[str, str]:
        """Return the incarnation of every writer, by name."""
        members = [m for role in WRITERS for m in self.membership.members(role)]
        return {m.name: m.alive.incarnation if m.alive is not None else "" for m in members}

    async def hold(self, role: str) -> bool:
        """Hold every writer of the role; False if one did not answer."""
        for keeper in self.of(role):
            keeper.expect_held(held=True)
        return await self._each(role, lambda handle: handle.hold())

    async def release(self) -> None:
        """Let every writer go on that answers; one that does not is released in its next life."""
        for role in WRITERS:
            for keeper in self.of(role):
                keeper.expect_held(held=False)
            await self._each(role, lambda handle: handle.release())

    async def drained(self, role: str) -> bool:
        """Say whether every reader of the role has finished all that is in its log."""
        try:
            async with asyncio.timeout(_CALL_S):
                found = await asyncio.gather(*(keeper.handle.status() for keeper in self.of(role)))
        except (RoleAway, RoleFailed, TimeoutError):
            return False
        return all(status.get("drained", False) for status in found)

    async def publish(self) -> None:
        """Show everybody the new bases, and return when those who answer have them."""
        await self._redraw()
        deadline = asyncio.get_running_loop().time() + _PUBLISH_S
        while any(self.running(each) and not each.current for each in self.keepers.values()):
            if asyncio.get_running_loop().time() > deadline:
                log.warning("map_unseen", by=[e.name for e in self.keepers.values() if not e.current])
                return
            await asyncio.sleep(_LOOK_EVERY_S / 4)

    # --- the end ----------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop in order: no more input, everything stored, then who reads and writes."""
        await self._stop_role("gateway")
        await self._until_drained("router")
        await self._each("host", lambda handle: handle.hold())
        await self._until_drained("router")
        await self._until_drained("pusher")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for role in ("router", "pusher", "host"):
            await self._stop_role(role)

    async def _stop_role(self, role: str) -> None:
        for keeper in self.of(role):
            keeper.leave()
        await self._each(role, lambda handle: handle.stop(_STOP_S))
        for keeper in self.of(role):
            keeper.handle.kill()
        log.info("role_stopped", stopped=role)

    async def _until_drained(self, role: str) -> None:
        deadline = asyncio.get_running_loop().time() + _DRAIN_S
        while not await self.drained(role):
            if asyncio.get_running_loop().time() > deadline:
                log.error("not_drained", undrained=role, waited_s=_DRAIN_S)
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _each(self, role: str, call: Callable[[RoleHandle], Awaitable[Any]]) -> bool:
        """Call all of the role at once; False if one did not do it."""
        done = await asyncio.gather(*(self._tried(each, call) for each in self.of(role)))
        return all(done)

    async def _tried(self, keeper: RoleKeeper, call: Callable[[RoleHandle], Awaitable[Any]]) -> bool:
        try:
            async with asyncio.timeout(max(_CALL_S, _STOP_S)):
                await call(keeper.handle)
        except (RoleAway, RoleFailed, TimeoutError) as exc:
            log.warning("call_failed", role_name=keeper.name, reason=str(exc))
            return False
        return True


def now_ms() -> int:
    """Return the event loop's clock in milliseconds: what `Membership` is told the time by."""
    return int(asyncio.get_running_loop().time() * 1000)
