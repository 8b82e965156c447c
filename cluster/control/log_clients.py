"""The roles as the log's lifecycle needs them; implements `cluster.log.lifecycle.LogClients`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from actors.ray_actor import RoleAway, RoleFailed
from cluster.log.unfinished import unread
from cluster.supervision.roles import WRITERS, Roles
from cluster.supervision.supervisor import Supervisor

HURRY: Final = {"act": "hurry"}
"""Has a host write what it collects."""

_CALL_S: Final = 12.0
_PUBLISH_S: Final = 10.0
_END_S: Final = 3.0
"""Hosts need not wait for MongoDB longer than this before a lost log starts over: senders wait for it."""

_ANSWER_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.025

log = structlog.get_logger()


class RolesAsLogClients:
    """Asks all writers and readers of the log at once.

    Args:
        roles: All of them.
        redraw: Draws the map again, and shows it to every role if it changed.
    """

    def __init__(self, roles: Roles, redraw: Callable[[], Awaitable[None]]) -> None:
        self._roles, self._redraw = roles, redraw
        self.pause_writes, self.resume_writes = roles.pause_writes, roles.resume_writes

    @property
    def shards(self) -> int:
        """Number of shards of the map that every role is shown."""
        return 0 if self._roles.shard_map is None else self._roles.shard_map.shards

    def incarnations(self) -> dict[str, str]:
        """Return the incarnation of every writer, by name."""
        members = [m for role in WRITERS for m in self._roles.membership.members(role)]
        return {m.name: m.alive.incarnation if m.alive is not None else "" for m in members}

    async def caught_up(self, role: str) -> bool:
        """Return whether every reader of the role has finished all that is in its log.

        Numbers count only from readers that read by the newest map: those of a reader that has not taken
        it yet may be of a log before this one, or of no shard at all. What a reader has seen of the log may
        be some milliseconds old: what the writers know that they wrote counts as well. Without that a batch
        confirmed just before was deleted with the log.
        """
        here = [each for each in self._roles.of(*WRITERS) if not each.left]
        try:
            async with asyncio.timeout(_CALL_S):
                hosts = [each for each in self._roles.of("host") if not each.left]
                await asyncio.gather(*(_hurried(each) for each in hosts))
                # First the writers: nothing that they have written by now may be missing afterwards.
                writers = await asyncio.gather(*(_status(each) for each in here))
                readers = await asyncio.gather(*(_status(each) for each in self._roles.of(role)))
        except (RoleAway, RoleFailed, TimeoutError):
            return False
        version = self._roles.shard_map.version if self._roles.shard_map is not None else 0
        if not all(status.get("caught_up", False) and status.get("map") == version for status in readers):
            return False
        return not unread(role, [*self._roles.gone, *writers], readers)

    async def end_logs(self, bases: Mapping[int, int]) -> None:
        """Have hosts store what they have of the logs before; returns when those who answer have."""
        left = [each for each in self._roles.of("host") if not each.left]
        deadline = asyncio.get_running_loop().time() + _END_S
        while left := [each for each in left if self._roles.running(each)]:
            owing = await asyncio.gather(*(self._owes(each, bases) for each in left))
            left = [each for each, owes in zip(left, owing, strict=True) if owes]
            if left and asyncio.get_running_loop().time() > deadline:
                log.warning("log_before_not_stored", by=[each.name for each in left])
                return
            await asyncio.sleep(_LOOK_EVERY_S if left else 0)

    async def publish(self) -> None:
        """Show every role the new bases, and return when those who answer have them."""
        # What those wrote who are gone was in the log before: no one has to find it in this one.
        self._roles.gone.clear()
        await self._redraw()
        deadline = asyncio.get_running_loop().time() + _PUBLISH_S
        supervisors = self._roles.supervisors
        while any(self._roles.running(each) and not each.current for each in supervisors.values()):
            if asyncio.get_running_loop().time() > deadline:
                log.warning("map_unseen", by=[e.name for e in supervisors.values() if not e.current])
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _owes(self, supervisor: Supervisor, bases: Mapping[int, int]) -> bool:
        try:
            message: dict[str, Any] = {"act": "end_logs", "bases": list(bases.items())}
            return bool(await supervisor.handle.tell(message, _ANSWER_S))
        except RoleAway:
            return True  # it may answer yet, as long as it counts as running
        except RoleFailed:
            return False  # a host of the release before, which cannot be asked


async def _hurried(supervisor: Supervisor) -> None:
    await supervisor.handle.tell(HURRY)


async def _status(supervisor: Supervisor) -> dict[str, Any]:
    return await supervisor.handle.status()
