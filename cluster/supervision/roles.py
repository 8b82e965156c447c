"""All roles at once: their supervisors by name, shown each map, their writes paused and resumed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from cluster.supervision.membership import RUNNING, Membership
from cluster.supervision.supervisor import Supervisor
from roost.tasks import BackgroundTasks
from storage.shard_map import ShardMap

WRITERS: Final = ("gateway", "host")

_CALL_S: Final = 15.0
_STOP_S: Final = 15.0

log = structlog.get_logger()


class Roles:
    """The supervisors of all roles.

    Attributes:
        supervisors: By name.
        membership: Which roles answer.
        gone: The last status of each writer that was dismissed since the log began.
        shard_map: The map that every role is shown, None before the first.
    """

    def __init__(self, membership: Membership) -> None:
        self.supervisors: dict[str, Supervisor] = {}
        self.membership = membership
        self.gone: list[dict[str, Any]] = []
        self.shard_map: ShardMap | None = None
        self._loops = BackgroundTasks()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._paused: dict[str, bool] = {}

    def add(self, supervisor: Supervisor, *, may_own: bool = True) -> None:
        """Look after one more role."""
        self.supervisors[supervisor.name] = supervisor
        self.membership.expect(supervisor.role, supervisor.name, now_ms(), may_own=may_own)
        if supervisor.role in self._paused:
            supervisor.expect_paused(paused=self._paused[supervisor.role])
        if self.shard_map is not None:
            supervisor.show(self.shard_map)
        looking = self._loops.spawn(supervisor.run(), f"supervisor of {supervisor.name}", essential=True)
        self._tasks[supervisor.name] = looking

    async def dismiss(self, supervisor: Supervisor) -> list[str]:
        """Stop a role that owns nothing any more, and look after it no more; returns what it gave up."""
        supervisor.leave()
        task = self._tasks.pop(supervisor.name)
        given_up: list[str] = []

        async def stop(handle: RoleHandle) -> None:
            given_up.extend(await handle.stop(_STOP_S))
            if supervisor.role in WRITERS:  # what it has written, which no one can ask it any more
                self.gone.append(await handle.status())

        if self.running(supervisor) and not await self._tried(supervisor, stop):
            given_up.append("did not stop in order, and was ended.")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._succeeded(supervisor, supervisor.end)
        del self.supervisors[supervisor.name]
        self.membership.forget(supervisor.name)
        return [f"{supervisor.name} {each}" for each in given_up]

    async def let_go(self) -> None:
        """Look after no role any more: all are about to be stopped."""
        await self._loops.cancel()

    def show(self, shard_map: ShardMap) -> None:
        """Hand the map to every role."""
        self.shard_map = shard_map
        for supervisor in self.supervisors.values():
            supervisor.show(shard_map)

    def of(self, *roles: str) -> list[Supervisor]:
        """Return the supervisors of these roles."""
        return [each for each in self.supervisors.values() if each.role in roles]

    def running(self, supervisor: Supervisor) -> bool:
        """Return whether the role answers."""
        return self.membership.state(supervisor.name, now_ms()) == RUNNING

    @property
    def all_current(self) -> bool:
        """Whether there are roles, and every one of them runs and has the newest map."""
        found = self.supervisors.values()
        return bool(found) and all(self.running(each) and each.current for each in found)

    async def pause_writes(self, role: str) -> bool:
        """Pause every writer of the role; False if one did not answer."""
        self._paused[role] = True
        for supervisor in self.of(role):
            supervisor.expect_paused(paused=True)
        done = await asyncio.gather(
            *(self._tried(each, lambda handle: handle.pause_writes()) for each in self.of(role))
        )
        return all(done)

    async def resume_writes(self) -> None:
        """Resume every writer that has the newest map; another one goes on as soon as it has it."""
        for role in WRITERS:
            self._paused[role] = False
            for supervisor in self.of(role):
                supervisor.expect_paused(paused=False)
            current = [each for each in self.of(role) if each.current]
            await asyncio.gather(
                *(self._tried(each, lambda handle: handle.resume_writes()) for each in current)
            )

    async def _tried(self, supervisor: Supervisor, call: Callable[[RoleHandle], Awaitable[Any]]) -> bool:
        async def called() -> None:
            await call(supervisor.handle)

        return await self._succeeded(supervisor, called)

    async def _succeeded(self, supervisor: Supervisor, call: Callable[[], Awaitable[None]]) -> bool:
        try:
            async with asyncio.timeout(_CALL_S):
                await call()
        except (RoleAway, RoleFailed, TimeoutError) as exc:
            log.warning("call_failed", role_name=supervisor.name, reason=str(exc))
            return False
        return True


def now_ms() -> int:
    """Return the event loop's clock in milliseconds: what `Membership` is told the time by."""
    return int(asyncio.get_running_loop().time() * 1000)
