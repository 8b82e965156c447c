"""The orderly stop of all roles: no new input, then everything stored, then readers and hosts.

Whatever does not succeed is reported, a sentence each, with numbers where they are known. Every wait is
bounded: for a server that hangs as for a role that does not answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from cluster.control.log_clients import HURRY
from cluster.control.stop_report import ANSWER_S, STOP_S, stop_limits, stop_report
from cluster.log.unfinished import Unfinished, unfinished_in
from cluster.supervision.roles import WRITERS, Roles
from cluster.supervision.supervisor import Supervisor
from storage.shard_map import ShardMap

_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class Shutdown:
    """Stops the roles, once.

    Args:
        roles: All of them.
        shard_map: The newest map; None: there was none yet, so that nothing can have been accepted.
        kept: The log keeps what is not stored, for the next start.
    """

    def __init__(self, roles: Roles, shard_map: ShardMap | None, *, kept: bool) -> None:
        self._roles, self._map, self._kept = roles, shard_map, kept
        self._said: dict[str, dict[str, Any]] = {}
        self._silent: set[str] = set()
        self._given_up: list[str] = []
        self._paused = False
        self._limits = stop_limits(kept=kept)
        self._deadline = asyncio.get_running_loop().time() + self._limits.longest_s

    async def run(self) -> list[str]:
        """Stop every role in order; returns what was given up, a sentence each."""
        await self._stop("gateway")
        left = await self._until_finished("router")
        self._paused = True
        await asyncio.gather(
            *(
                self._tried(each, lambda handle: handle.pause_writes(), ANSWER_S)
                for each in self._roles.of("host")
            )
        )
        left = await self._until_finished("router", still_s=0.0 if any(left) else self._limits.still_s)
        await self._hurry(self._roles.of("pusher"))
        wakes = await self._until_finished("pusher")
        await self._roles.let_go()
        for role in ("router", "pusher", "host"):
            await self._stop(role)
        records = stop_report("router", left, kept=self._kept)
        return [*records, *stop_report("pusher", wakes, kept=self._kept), *self._given_up]

    # --- waiting ----------------------------------------------------------------------------------

    async def _until_finished(self, role: str, still_s: float | None = None) -> Unfinished:
        """Wait while something moves; returns what is left."""
        if self._map is None:
            return Unfinished({}, {})
        loop = asyncio.get_running_loop()
        still_s = self._limits.still_s if still_s is None else still_s
        moved, least = loop.time(), None
        while True:
            left, queued = await self._look(role, self._map)
            if not any(left) and not queued:
                return left
            now = loop.time()
            rest = (len(left.unknown), sum(left.counts.values()) + queued)
            if least is None or rest < least:
                moved, least = now, rest
            if now - moved >= still_s or now > self._deadline:
                log.error("log_unfinished", reader_role=role, left=left.counts, unknown=left.unknown)
                return left
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, role: str, shard_map: ShardMap) -> tuple[Unfinished, int]:
        """Return what is left in the role's log, and how many writes wait at hosts that may still append."""
        answering_hosts = [
            each for each in self._roles.of("host") if not each.left and each.name not in self._silent
        ]
        await self._hurry(answering_hosts)
        # First the writers: nothing that they have written by now may be missing afterwards.
        await asyncio.gather(*(self._ask(each) for each in self._roles.of(*WRITERS)))
        await asyncio.gather(*(self._ask(each) for each in self._roles.of(role)))
        writers = [self._said.get(each.name, each.figures) for each in self._roles.of(*WRITERS)]
        answering = {
            each.name: self._said[each.name] for each in self._roles.of(role) if each.name not in self._silent
        }
        appending = [] if self._paused else self._roles.of("host")
        queued = sum(
            self._said[each.name].get("waiting", 0) for each in appending if each.name not in self._silent
        )
        return unfinished_in(role, shard_map, [*self._roles.gone, *writers], answering), queued

    async def _hurry(self, supervisors: Iterable[Supervisor]) -> None:
        await asyncio.gather(
            *(self._tried(each, lambda handle: handle.tell(HURRY), ANSWER_S) for each in supervisors)
        )

    async def _ask(self, supervisor: Supervisor) -> None:
        if supervisor.left:
            return  # stopped: what it said then is the last word
        status = await self._tried(supervisor, lambda handle: handle.status(), ANSWER_S)
        if status is None:
            self._silent.add(supervisor.name)
        else:
            self._silent.discard(supervisor.name)
            self._said[supervisor.name] = status

    # --- stopping ---------------------------------------------------------------------------------

    async def _stop(self, role: str) -> None:
        await asyncio.gather(*(self._stop_one(supervisor) for supervisor in self._roles.of(role)))
        log.info("role_stopped", stopped=role)

    async def _stop_one(self, supervisor: Supervisor) -> None:
        supervisor.leave()
        given_up = await self._tried(supervisor, lambda handle: handle.stop(STOP_S), STOP_S)
        if given_up is None:
            given_up = [f"did not stop in order within {STOP_S:g} s, and was ended."]
        elif supervisor.role in WRITERS:  # what it has written, which no one can ask it any more
            status = await self._tried(supervisor, lambda handle: handle.status(), ANSWER_S)
            self._said[supervisor.name] = status or self._said.get(supervisor.name, supervisor.figures)
        self._given_up += [f"{supervisor.name} {each}" for each in given_up]
        try:
            async with asyncio.timeout(ANSWER_S):
                await supervisor.end()
        except (RoleAway, TimeoutError) as exc:
            log.warning("end_failed", role_name=supervisor.name, reason=str(exc) or type(exc).__name__)

    async def _tried(
        self, supervisor: Supervisor, call: Callable[[RoleHandle], Awaitable[Any]], within_s: float
    ) -> Any:
        """Return what the role answers, None if it does not."""
        try:
            async with asyncio.timeout(within_s):
                return await call(supervisor.handle)
        except (RoleAway, RoleFailed, TimeoutError) as exc:
            log.warning("call_failed", role_name=supervisor.name, reason=str(exc) or type(exc).__name__)
            return None
