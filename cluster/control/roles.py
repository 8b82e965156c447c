"""All roles at once: hold the writers, and know when the readers have finished."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from actors.service import ClusterView
from cluster.control.membership import RUNNING, Membership
from cluster.control.stop_report import READ_BY
from cluster.control.supervisor import RoleKeeper

WRITERS: Final = ("gateway", "host")
HURRY: Final = {"act": "hurry"}
"""Has a host write what it collects."""

_CALL_S: Final = 12.0
_PUBLISH_S: Final = 10.0
_STOP_S: Final = 15.0
_END_S: Final = 3.0
"""Hosts need not wait for MongoDB longer than this before a lost log begins anew: senders wait for it."""

_ANSWER_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class Crew:
    """The keepers of all roles; implements ``cluster.control.log_lifecycle.Crew``.

    Attributes:
        keepers: By name.
        membership: Who is there.
        gone: The last status of each writer that was dismissed since the log began.
    """

    def __init__(self, membership: Membership, redraw: Callable[[], Awaitable[None]]) -> None:
        self.keepers: dict[str, RoleKeeper] = {}
        self.membership = membership
        self._redraw = redraw
        self._view: ClusterView | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.gone: list[dict[str, Any]] = []
        self._held: dict[str, bool] = {}

    def add(self, keeper: RoleKeeper, *, may_own: bool = True) -> None:
        """Look after one more role."""
        self.keepers[keeper.name] = keeper
        self.membership.expect(keeper.role, keeper.name, now_ms(), may_own=may_own)
        if keeper.role in self._held:
            keeper.expect_held(held=self._held[keeper.role])
        if self._view is not None:
            keeper.show(self._view)
        self._tasks[keeper.name] = asyncio.create_task(keeper.run(), name=f"keeper of {keeper.name}")

    async def dismiss(self, keeper: RoleKeeper) -> list[str]:
        """Stop a role that owns nothing any more, and look after it no more; returns what it gave up."""
        keeper.leave()
        task = self._tasks.pop(keeper.name)
        given_up: list[str] = []

        async def stop(handle: RoleHandle) -> None:
            given_up.extend(await handle.stop(_STOP_S))
            if keeper.role in WRITERS:  # what it has written, which nobody can ask it any more
                self.gone.append(await handle.status())

        if self.running(keeper) and not await self._tried(keeper, stop):
            given_up.append("did not stop in order, and was ended.")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._tried(keeper, _killed)
        del self.keepers[keeper.name]
        self.membership.forget(keeper.name)
        return [f"{keeper.name} {each}" for each in given_up]

    async def let_go(self) -> None:
        """Look after nobody any more: all are about to be stopped."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def show(self, view: ClusterView) -> None:
        """Hand the map to everybody."""
        self._view = view
        for keeper in self.keepers.values():
            keeper.show(view)

    def of(self, *roles: str) -> list[RoleKeeper]:
        """Return the keepers of these roles."""
        return [each for each in self.keepers.values() if each.role in roles]

    def running(self, keeper: RoleKeeper) -> bool:
        """Say whether the role answers."""
        return self.membership.state(keeper.name, now_ms()) == RUNNING

    # --- cluster.control.log_lifecycle.Crew -------------------------------------------------------------

    def lives(self) -> dict[str, str]:
        """Return the incarnation of every writer, by name."""
        members = [m for role in WRITERS for m in self.membership.members(role)]
        return {m.name: m.alive.incarnation if m.alive is not None else "" for m in members}

    async def hold(self, role: str) -> bool:
        """Hold every writer of the role; False if one did not answer."""
        self._held[role] = True
        for keeper in self.of(role):
            keeper.expect_held(held=True)
        return await self._each(role, lambda handle: handle.pause_writes())

    async def release(self) -> None:
        """Let every writer go on that has the newest map; another one goes on as soon as it has it."""
        for role in WRITERS:
            self._held[role] = False
            for keeper in self.of(role):
                keeper.expect_held(held=False)
            current = [keeper for keeper in self.of(role) if keeper.current]
            await asyncio.gather(
                *(self._tried(each, lambda handle: handle.resume_writes()) for each in current)
            )

    async def drained(self, role: str) -> bool:
        """Say whether every reader of the role has finished all that is in its log.

        Numbers count only from readers that read by the newest map: those of a reader that has not taken
        it yet may be of a log before this one, or of no shard at all. What a reader has seen of the log may
        be some milliseconds old: what the writers know that they wrote counts as well. Without that a batch
        confirmed just before was deleted with the log.
        """
        here = [each for each in self.of(*WRITERS) if not each.left]
        try:
            async with asyncio.timeout(_CALL_S):
                hosts = [each for each in self.of("host") if not each.left]
                await asyncio.gather(*(each.handle.tell(HURRY) for each in hosts))
                # First the writers: nothing that they have written by now may be missing afterwards.
                writers = await asyncio.gather(*(each.handle.status() for each in here))
                readers = await asyncio.gather(*(each.handle.status() for each in self.of(role)))
        except (RoleAway, RoleFailed, TimeoutError):
            return False
        version = self._view.version if self._view is not None else 0
        if not all(status.get("drained", False) and status.get("map") == version for status in readers):
            return False
        return not unread(role, [*self.gone, *writers], readers)

    async def end_logs(self, bases: Mapping[int, int]) -> None:
        """Have hosts store what they have of the logs before; returns when those who answer have."""
        left = [each for each in self.of("host") if not each.left]
        deadline = asyncio.get_running_loop().time() + _END_S
        while left := [each for each in left if self.running(each)]:
            owing = await asyncio.gather(*(self._owes(each, bases) for each in left))
            left = [each for each, owes in zip(left, owing, strict=True) if owes]
            if left and asyncio.get_running_loop().time() > deadline:
                log.warning("log_before_not_stored", by=[each.name for each in left])
                return
            await asyncio.sleep(_LOOK_EVERY_S / 4 if left else 0)

    async def _owes(self, keeper: RoleKeeper, bases: Mapping[int, int]) -> bool:
        try:
            message = {"act": "end_logs", "bases": list(bases.items())}
            return bool(await keeper.handle.tell(message, _ANSWER_S))
        except RoleAway:
            return True  # it may answer yet, as long as it counts as running
        except RoleFailed:
            return False  # a host of the release before, which cannot be asked

    @property
    def shards(self) -> int:
        """Number of shards of the map that everybody is shown."""
        return 0 if self._view is None else self._view.shards

    async def publish(self) -> None:
        """Show everybody the new bases, and return when those who answer have them."""
        # What those wrote who are gone was in the log before: nobody has to find it in this one.
        self.gone.clear()
        await self._redraw()
        deadline = asyncio.get_running_loop().time() + _PUBLISH_S
        while any(self.running(each) and not each.current for each in self.keepers.values()):
            if asyncio.get_running_loop().time() > deadline:
                log.warning("map_unseen", by=[e.name for e in self.keepers.values() if not e.current])
                return
            await asyncio.sleep(_LOOK_EVERY_S / 4)

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


async def _killed(handle: RoleHandle) -> None:
    handle.kill()


def now_ms() -> int:
    """Return the event loop's clock in milliseconds: what `Membership` is told the time by."""
    return int(asyncio.get_running_loop().time() * 1000)


def unread(
    role: str, writers: Iterable[Mapping[str, Any]], readers: Iterable[Mapping[str, Any]]
) -> dict[int, int]:
    """Return the shards whose readers are not where the writers are, with the offset they must reach.

    Args:
        role: ``router`` or ``pusher``.
        writers: The status of each gateway and host.
        readers: The status of each role of this kind.
    """
    topic = READ_BY[role]
    finished = {int(shard): at for status in readers for shard, at in status.get("stored", {}).items()}
    missing: dict[int, int] = {}
    for status in writers:
        for shard, end in status.get("appended", {}).get(topic, {}).items():
            if end > finished.get(int(shard), 0):
                missing[int(shard)] = max(end, missing.get(int(shard), 0))
    return missing
