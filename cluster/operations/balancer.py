"""Keeps roles spread over the machines, and finishes the rollout that an earlier coordinator began."""

import asyncio
from typing import Final

import structlog

from actors.ray_actor import RoleFailed
from cluster.operations.node_placement import next_move
from cluster.operations.rollout import OperationRefused, Rollout
from cluster.operations.roster import Roster
from cluster.supervision.roles import Roles
from roost.errors import Unavailable

_LOOK_EVERY_S: Final = 1.0
_CALM_S: Final = 10.0
"""Machines and roles have been as they are for this long before one moves for the balance alone."""

_LANDED_ELSEWHERE_S: Final = 60.0
"""The pause after Ray has put a role on another machine than the one it was meant for."""

log = structlog.get_logger()


class Balancer:
    """Looks which machines there are, and moves a role where they make that worth it."""

    def __init__(self, roles: Roles, roster: Roster, rollout: Rollout) -> None:
        self._roles, self._roster, self._rollout = roles, roster, rollout
        self._calm_since = self._still_until = 0.0
        self._picture: object = None

    async def run(self) -> None:
        """Look every second."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self._roster.look()
                await self._finish()
                await self._balance()
            except (Unavailable, OperationRefused, RoleFailed) as exc:
                log.warning("operation_postponed", reason=str(getattr(exc, "detail", exc)))

    async def _finish(self) -> None:
        """Finish what an earlier coordinator began, unless there is an operation, which does that first."""
        if not self._rollout.exclusive.locked():
            async with self._rollout.exclusive:
                await self._rollout.finish()

    async def _balance(self) -> None:
        """Move one role, if machines came, went or were drained and everything else is calm."""
        placements, nodes = self._roster.placements(), self._roster.nodes
        if self._rollout.exclusive.locked() or len(nodes) < 2:  # noqa: PLR2004 -- nowhere to move to
            return
        if not self._is_calm((placements, self._roster.stored, [node.id for node in nodes])):
            return
        move = next_move(placements, self._roster.open_nodes())
        if move is None:
            return
        name, node_id = move
        lines: list[str] = []
        async with self._rollout.exclusive:
            fresh, _ = await self._rollout.replace(name, node_id, lines.append)
        landed = self._roster.placements()[fresh].node_id
        if landed == node_id:
            log.info("role_moved", role_name=name, to=node_id, lines=lines)
        else:  # the same move again would lead there again
            log.warning("role_misplaced", role_name=fresh, wanted=node_id, landed=landed)
            self._still_until = asyncio.get_running_loop().time() + _LANDED_ELSEWHERE_S

    def _is_calm(self, picture: object) -> bool:
        now = asyncio.get_running_loop().time()
        running = all(self._roles.running(each) for each in self._roles.supervisors.values())
        if picture != self._picture or not running:
            self._picture, self._calm_since = picture, now
        return now - self._calm_since > _CALM_S and now > self._still_until
