"""The end of all roles: no more input, everything stored, then who reads and writes.

Whatever does not come about is said, a sentence each, with numbers where they are known. Nothing here waits
for ever: not for a server that hangs, nor for a role that does not answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from actors.service import ClusterView
from cluster.control.roles import HURRY, WRITERS, Crew
from cluster.control.stop_report import ANSWER_S, STOP_S, Left, left_of, told, waiting
from cluster.control.supervisor import RoleKeeper

_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class Closing:
    """Stops the crew, once.

    Args:
        crew: Everybody.
        view: The newest map; None: there was none yet, so that nothing can have been accepted.
        kept: The log keeps what is not stored, for the next start.
    """

    def __init__(self, crew: Crew, view: ClusterView | None, *, kept: bool) -> None:
        self._crew, self._view, self._kept = crew, view, kept
        self._said: dict[str, dict[str, Any]] = {}
        self._silent: set[str] = set()
        self._given_up: list[str] = []
        self._held = False
        self._patience = waiting(kept=kept)
        self._deadline = asyncio.get_running_loop().time() + self._patience.longest_s

    async def run(self) -> list[str]:
        """Stop everybody in order; returns what was given up, a sentence each."""
        await self._stop("gateway")
        left = await self._until_finished("router")
        self._held = True
        await asyncio.gather(
            *(
                self._tried(each, lambda handle: handle.pause_writes(), ANSWER_S)
                for each in self._crew.of("host")
            )
        )
        left = await self._until_finished("router", still_s=0.0 if any(left) else self._patience.still_s)
        wakes = await self._until_finished("pusher")
        await self._crew.let_go()
        for role in ("router", "pusher", "host"):
            await self._stop(role)
        records = told("router", left, kept=self._kept)
        return [*records, *told("pusher", wakes, kept=self._kept), *self._given_up]

    # --- waiting ----------------------------------------------------------------------------------

    async def _until_finished(self, role: str, still_s: float | None = None) -> Left:
        """Wait while something moves; returns what is left."""
        if self._view is None:
            return Left({}, {})
        loop = asyncio.get_running_loop()
        still_s = self._patience.still_s if still_s is None else still_s
        moved, least = loop.time(), None
        while True:
            left, queued = await self._look(role, self._view)
            if not any(left) and not queued:
                return left
            now = loop.time()
            rest = (len(left.unknown), sum(left.counts.values()) + queued)
            if least is None or rest < least:
                moved, least = now, rest
            if now - moved >= still_s or now > self._deadline:
                log.error("not_drained", undrained=role, left=left.counts, unknown=left.unknown)
                return left
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, role: str, view: ClusterView) -> tuple[Left, int]:
        """Return what is left in the role's log, and how many writes wait at hosts that may still append."""
        answering_hosts = [
            each for each in self._crew.of("host") if not each.left and each.name not in self._silent
        ]
        await asyncio.gather(
            *(self._tried(each, lambda handle: handle.tell(HURRY), ANSWER_S) for each in answering_hosts)
        )
        # First the writers: nothing that they have written by now may be missing afterwards.
        await asyncio.gather(*(self._ask(each) for each in self._crew.of(*WRITERS)))
        await asyncio.gather(*(self._ask(each) for each in self._crew.of(role)))
        writers = [self._said.get(each.name, each.figures) for each in self._crew.of(*WRITERS)]
        answering = {
            each.name: self._said[each.name] for each in self._crew.of(role) if each.name not in self._silent
        }
        appending = [] if self._held else self._crew.of("host")
        queued = sum(
            self._said[each.name].get("waiting", 0) for each in appending if each.name not in self._silent
        )
        return left_of(role, view, [*self._crew.gone, *writers], answering), queued

    async def _ask(self, keeper: RoleKeeper) -> None:
        if keeper.left:
            return  # stopped: what it said then is the last word
        status = await self._tried(keeper, lambda handle: handle.status(), ANSWER_S)
        if status is None:
            self._silent.add(keeper.name)
        else:
            self._silent.discard(keeper.name)
            self._said[keeper.name] = status

    # --- stopping ---------------------------------------------------------------------------------

    async def _stop(self, role: str) -> None:
        await asyncio.gather(*(self._stop_one(keeper) for keeper in self._crew.of(role)))
        log.info("role_stopped", stopped=role)

    async def _stop_one(self, keeper: RoleKeeper) -> None:
        keeper.leave()
        given_up = await self._tried(keeper, lambda handle: handle.stop(STOP_S), STOP_S)
        if given_up is None:
            given_up = [f"did not stop in order within {STOP_S:g} s, and was ended."]
        elif keeper.role in WRITERS:  # what it has written, which nobody can ask it any more
            status = await self._tried(keeper, lambda handle: handle.status(), ANSWER_S)
            self._said[keeper.name] = status or self._said.get(keeper.name, keeper.figures)
        self._given_up += [f"{keeper.name} {each}" for each in given_up]
        await self._tried(keeper, _killed, ANSWER_S)

    async def _tried(
        self, keeper: RoleKeeper, call: Callable[[RoleHandle], Awaitable[Any]], within_s: float
    ) -> Any:
        """Return what the role answers, None if it does not."""
        try:
            async with asyncio.timeout(within_s):
                return await call(keeper.handle)
        except (RoleAway, RoleFailed, TimeoutError) as exc:
            log.warning("call_failed", role_name=keeper.name, reason=str(exc) or type(exc).__name__)
            return None


async def _killed(handle: RoleHandle) -> None:
    handle.kill()
