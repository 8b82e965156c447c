"""Looks after one role: keeps it started, shows it the newest map, knows its figures.

Each role has its own loop, so that one that hangs delays nobody else. When its process ends, a spare becomes
the role at once, if there is one; else a new process is started in its place. Ray could do that by itself,
but would do it always: a start takes a core for a second, and that is what the spare needs just then.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from actors.service import Alive, ClusterView
from cluster.control.deaths import Deathwatch
from cluster.control.membership import Membership
from cluster.control.spares import Spares
from telemetry import metrics

log = structlog.get_logger()

_RESPAWN_AFTER_S = 10.0
_LOOK_EVERY_S = 0.02
_CALM = 2
"""So many heartbeats pass between two looks at a calm role. A look costs 4 ms of CPU over all processes."""

_CLOCKS = frozenset({"silent_s", "answering_s"})
"""Figures that change though nothing happens."""

_SILENT_S = 1.0
"""A log that waits for something to tell is silent for half as long."""

_DEATH_KNOWN_AFTER = 100
"""So many looks at most."""


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
        spares: Spares,
    ) -> None:
        self.role, self.name = role, name
        self.figures: dict[str, Any] = {}
        self.figures_of: tuple[str, int] = ("", 0)
        self.failure = ""
        self._spawn, self._membership = spawn, membership
        self._heartbeat_s, self._changed = heartbeat_s, changed
        self._spares = spares
        self._life: Alive | None = None
        self._calm = False
        self._died = asyncio.Event()
        self._watch = Deathwatch(self._is_dead)
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
    def pause_s(self) -> float:
        """Seconds to the next look: more if the role has nothing to do, and its end would be seen anyway."""
        return self._heartbeat_s * (_CALM if self._calm else 1)

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
        try:
            while not self._left:
                self._news.clear()
                try:
                    await self._visit()
                    self.failure = ""
                    self._away_since = None
                except RoleAway as exc:
                    if await self._has_heir():
                        continue
                    self._fail(exc.detail)
                    await self._respawn_if_ended()
                except RoleFailed as exc:
                    self._fail(str(exc))
                await self._rest()
        finally:
            self._watch.stop()

    async def _visit(self) -> None:
        """See the role once; over as soon as its process is, since Ray would wait for a second longer."""
        tasks = [asyncio.create_task(self._once()), asyncio.create_task(self._died.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise RoleAway(f"The process of {self.name} ended.")
            tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _once(self) -> None:
        if self._handle is None:
            self._handle = await self._made()
        alive, figures = await self.handle.beat()
        self._calm = self._watch.watching and _is_calm(figures, self.figures)
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        if self._membership.heard(self.name, alive, now_ms):
            log.info("role_came_to_life", role_name=self.name, pid=alive.pid, incarnation=alive.incarnation)
            self._life = alive
            if self._spares.are_near(alive):
                self._watch.watch(alive.pid)
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
            await (self.handle.pause_writes() if self._held else self.handle.resume_writes())
            self._settled = (alive.incarnation, wish)

    def _is_dead(self) -> None:
        self._died.set()
        self._news.set()

    async def _has_heir(self) -> bool:
        """Put a spare in the role's place, if its process is known to have ended and a spare is ready.

        Who merely does not answer may go on serving what a spare would serve, too, until it finds out.
        """
        if self._left or self._life is None or self._handle is None or not await self._ended():
            return False
        heir = await self._spares.take(self._handle, self._life)
        if heir is None:
            return False
        self._handle, self._life = heir, None
        self._died.clear()
        return True

    async def _ended(self) -> bool:
        """Say whether it is certain that the process of the last life ended, or the one that was to begin."""
        if self._died.is_set() or self._handle is None:
            return self._died.is_set()
        return await self._ray_knows()

    async def _ray_knows(self) -> bool:
        return await asyncio.to_thread(self.handle.ended, None if self._life is None else self._life.pid)

    def _fail(self, reason: str) -> None:
        if reason != self.failure:
            log.warning("role_away", role_name=self.name, reason=reason)
        self.failure = reason
        self._membership.failed(self.name)
        self._changed()

    async def _made(self) -> RoleHandle:
        # In a thread, since Ray blocks for as long as its head is away.
        return await asyncio.to_thread(self._spawn)

    async def _respawn_if_ended(self) -> None:
        """Have the role made anew once its process has ended, or if it has not answered for long."""
        now = asyncio.get_running_loop().time()
        ended = await self._ended()
        if self._away_since is None:
            self._away_since = now
        if self._left or not (ended or now - self._away_since > _RESPAWN_AFTER_S):
            return
        self._away_since = now
        if ended:
            await self._until_ray_knows()
        log.warning("role_made_anew", role_name=self.name)
        self._handle, self._life = await self._made(), None
        self._died.clear()

    async def _until_ray_knows(self) -> None:
        """Wait until Ray has seen the end as well: before that, it would hand out the dead process."""
        for _ in range(_DEATH_KNOWN_AFTER):
            if await self._ray_knows():
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self.pause_s):
                await self._news.wait()
        except TimeoutError:
            return


def _is_calm(figures: dict[str, Any], before: dict[str, Any]) -> bool:
    """Say whether a role had nothing to do between two looks, and whether the log answers it."""
    same = all(before.get(name) == figure for name, figure in figures.items() if name not in _CLOCKS)
    return same and figures.get("silent_s", 0.0) < _SILENT_S
