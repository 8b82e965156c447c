"""Looks after one role: keeps it started, shows it the newest map, knows its figures.

Each role has its own loop, so that one that hangs delays nobody else.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from actors.service import Alive, ClusterView
from cluster.membership import Membership
from storage import metrics

log = structlog.get_logger()

_RESPAWN_AFTER_S = 10.0


class RoleKeeper:
    """One role's loop.

    Attributes:
        role: Role.
        name: Name.
        figures: What its last status said.
        figures_of: Which (life, map version) those figures were of.
        failure: Why the last call failed, '' if it did not.
    """

    def __init__(
        self,
        role: str,
        name: str,
        *,
        spawn: Callable[[], RoleHandle],
        membership: Membership,
        heartbeat_s: float,
        changed: Callable[[], None],
    ) -> None:
        self.role, self.name = role, name
        self.figures: dict[str, Any] = {}
        self.figures_of: tuple[str, int] = ("", 0)
        self.failure = ""
        self._spawn, self._membership = spawn, membership
        self._heartbeat_s, self._changed = heartbeat_s, changed
        self._handle: RoleHandle | None = None
        self._view: ClusterView | None = None
        self._held: bool | None = None
        self._wish = 0
        self._left = False
        self._told: tuple[str, int] = ("", 0)
        self._settled: tuple[str, int] = ("", 0)
        self._news = asyncio.Event()
        self._away_since: float | None = None

    @property
    def handle(self) -> RoleHandle:
        """The role, to call it directly.

        Raises:
            RoleAway: It is still being made.
        """
        if self._handle is None:
            raise RoleAway(f"{self.name} is being made.")
        return self._handle

    def show(self, view: ClusterView) -> None:
        """Hand the map to the role as soon as it can take it."""
        self._view = view
        self._news.set()

    @property
    def current(self) -> bool:
        """Whether the role has the newest map."""
        return self._view is not None and self._told[1] >= self._view.version

    @property
    def left(self) -> bool:
        """Whether nobody looks after the role any more."""
        return self._left

    def leave(self) -> None:
        """Look after the role no more: it is about to be stopped."""
        self._left = True
        self._news.set()

    def expect_held(self, *, held: bool) -> None:
        """A life of the role that starts from now on is held, or is not."""
        self._held = held
        self._wish += 1

    async def run(self) -> None:
        """Look after the role for ever."""
        while not self._left:
            self._news.clear()
            try:
                await self._once()
                self.failure = ""
                self._away_since = None
            except RoleAway as exc:
                self._fail(exc.detail)
                await self._respawn_if_hopeless()
            except RoleFailed as exc:
                self._fail(str(exc))
            await self._rest()

    async def _once(self) -> None:
        if self._handle is None:
            self._handle = await self._made()
        alive, figures = await self.handle.beat()
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        if self._membership.heard(self.name, alive, now_ms):
            log.info("role_came_to_life", role_name=self.name, pid=alive.pid, incarnation=alive.incarnation)
            metrics.ROLE_LIVES.labels(self.role).inc()
            self._changed()
        if self._held:
            await self._settle(alive)  # before the map: nothing is to be written under it
        if self._view is not None and self._told != (alive.incarnation, self._view.version):
            view = self._view
            await self.handle.apply(view)
            self._told = (alive.incarnation, view.version)
            figures = await self.handle.status()
            self._changed()
        if self.current:
            await self._settle(alive)
        self.figures, self.figures_of = figures, self._told

    async def _settle(self, alive: Alive) -> None:
        """Hold a new life while the log is made anew, else free it: who was before us may have held it.

        Before we know the log's state, it is left as it is. Nobody is freed before it has the newest map: by
        an older one it might write into a shard that is no longer its recipient's.
        """
        if self._held is not None and self._settled != (alive.incarnation, self._wish):
            wish = self._wish
            await (self.handle.hold() if self._held else self.handle.release())
            self._settled = (alive.incarnation, wish)

    def _fail(self, reason: str) -> None:
        if reason != self.failure:
            log.warning("role_away", role_name=self.name, reason=reason)
        self.failure = reason
        self._membership.failed(self.name)
        self._changed()

    async def _made(self) -> RoleHandle:
        # In a thread, since Ray blocks for as long as its head is away.
        return await asyncio.to_thread(self._spawn)

    async def _respawn_if_hopeless(self) -> None:
        """Ray restarts a process that dies; if it does not (the node is gone), make the role anew."""
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
        elif now - self._away_since > _RESPAWN_AFTER_S:
            self._away_since = now
            log.warning("role_made_anew", role_name=self.name)
            self._handle = await self._made()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await self._news.wait()
        except TimeoutError:
            return
