"""The supervisor of one role: keeps it running, shows it the newest map, reads its figures.

Each role has its own loop, so that one that hangs delays no other. When its process ends, a spare becomes
the role at once, if there is one; else a new process is started in its place. Ray could do that by itself,
but would do it always: a start takes a core for a second, and that is what the spare needs just then.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle, RoleUnhealthy
from actors.service import Alive
from cluster.supervision.membership import Membership
from cluster.supervision.process_exit import exit_known
from cluster.supervision.spares import Spares
from storage.shard_map import ShardMap
from telemetry import metrics, role_figures

log = structlog.get_logger()

_RESPAWN_AFTER_S = 10.0
_CALM = 2
"""So many heartbeats pass between two looks at a calm role. A look costs 4 ms of CPU over all processes."""

_CLOCKS = frozenset({"silent_s", "answering_s", role_figures.KEY})
"""Figures that change though nothing happens."""

_SILENT_S = 1.0
"""A log that waits for something to tell is silent for half as long."""

_EXIT_KNOWN_S = 5.0
"""Ray is waited for so long at most: before it has seen the end as well, it hands out the dead process."""


class Supervisor:
    """One role's loop.

    Attributes:
        role: Role.
        name: Name.
        figures: What its last status said.
        figures_of: The incarnation and the map version that those figures were of.
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
        self._alive: Alive | None = None
        self._calm = False
        self._died = asyncio.Event()
        self._watch = spares.watch(self._is_dead)
        self._handle: RoleHandle | None = None
        self._making: asyncio.Task[RoleHandle] | None = None
        self._map: ShardMap | None = None
        self._paused: bool | None = None
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

    def show(self, shard_map: ShardMap) -> None:
        """Hand the map to the role as soon as it can take it."""
        self._map = shard_map
        self._news.set()

    @property
    def current(self) -> bool:
        """Whether the role has the newest map."""
        return self._map is not None and self._told[1] >= self._map.version

    @property
    def pause_s(self) -> float:
        """Seconds to the next look: more if the role has nothing to do, and its end would be seen anyway."""
        return self._heartbeat_s * (_CALM if self._calm else 1)

    @property
    def left(self) -> bool:
        """Whether the role is no longer looked after."""
        return self._left

    def leave(self) -> None:
        """Look after the role no more: it is about to be stopped."""
        self._left = True
        self._news.set()

    async def end(self) -> None:
        """End its process for good, also one that was still being made when `run` was cancelled.

        Raises:
            RoleAway: There is none, and none could be made.
        """
        handle = self._handle
        if self._making is not None:
            made = await self._making
            if made is not handle:
                made.kill()
        if handle is not None:
            handle.kill()

    def expect_paused(self, *, paused: bool) -> None:
        """Have every incarnation that starts from now on paused, or not."""
        self._paused = paused
        self._wish += 1

    async def run(self) -> None:
        """Look after the role until it is left."""
        try:
            while not self._left:
                self._news.clear()
                if await self._looked_after():
                    await self._rest()
        finally:
            self._watch.stop()

    async def _looked_after(self) -> bool:
        """See the role once, and put another process in its place if need be; returns whether to rest then.

        Whatever goes wrong is tried again at the next look: with its supervisor a role would be given up.
        """
        try:
            try:
                await self._visit()
                self.failure = ""
                self._away_since = None
            except RoleAway as exc:
                if await self._has_heir():
                    return False
                self._fail(exc.detail)
                await self._respawn_if_ended()
        except RoleUnhealthy as exc:
            self._fail(str(exc))
            self._end_unhealthy(str(exc))
        except (RoleAway, RoleFailed) as exc:
            self._fail(str(exc))
        except Exception as exc:
            log.exception("role_not_looked_after", role_name=self.name)
            self._fail(repr(exc))
        return True

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
            log.info("role_started", role_name=self.name, pid=alive.pid, incarnation=alive.incarnation)
            self._alive = alive
            if self._spares.is_near(alive):
                self._watch.watch(alive.pid)
            metrics.ROLE_INCARNATIONS.labels(self.role).inc()
            self._changed()
        if self._paused:
            await self._settle(alive)  # before the map: nothing is to be written under it
        if self._map is not None and self._told != (alive.incarnation, self._map.version):
            shard_map = self._map
            await self.handle.apply(shard_map)
            self._told = (alive.incarnation, shard_map.version)
            figures = await self.handle.status()
            self._changed()
        if self.current:
            await self._settle(alive)
        self.figures, self.figures_of = figures, self._told

    async def _settle(self, alive: Alive) -> None:
        """Pause a new incarnation while the log is remade; else resume it, as it may have been paused.

        Before we know the log's state, it is left as it is. No role is freed before it has the newest map: by
        an older one it might write into a shard that is no longer its recipient's.
        """
        if self._paused is not None and self._settled != (alive.incarnation, self._wish):
            wish = self._wish
            await (self.handle.pause_writes() if self._paused else self.handle.resume_writes())
            self._settled = (alive.incarnation, wish)

    def _is_dead(self) -> None:
        self._died.set()
        self._news.set()

    async def _has_heir(self) -> bool:
        """Put a spare in the role's place, if its process is known to have ended and a spare is ready.

        Who merely does not answer may go on serving what a spare would serve, too, until it finds out.
        """
        if self._left or self._alive is None or self._handle is None or not await self._ended():
            return False
        heir = await self._spares.take(self._handle, self._alive)
        if heir is None:
            return False
        self._handle, self._alive = heir, None
        self._died.clear()
        return True

    async def _ended(self) -> bool:
        """Return whether it is certain that the last process has ended, or the one that was to begin."""
        if self._died.is_set() or self._handle is None:
            return self._died.is_set()
        return await exit_known(self.handle, self._pid, 0.0)

    @property
    def _pid(self) -> int | None:
        """Of the last process, None before its first answer."""
        return None if self._alive is None else self._alive.pid

    def _fail(self, reason: str) -> None:
        if reason != self.failure:
            log.warning("role_away", role_name=self.name, reason=reason)
        self.failure = reason
        self._membership.failed(self.name)
        self._changed()

    def _end_unhealthy(self, reason: str) -> None:
        """End the process; what comes then is as after any other death of it."""
        log.error("role_unhealthy", role_name=self.name, reason=reason)
        metrics.ROLES_UNHEALTHY.labels(self.role).inc()
        self.handle.kill()

    async def _made(self) -> RoleHandle:
        # In a thread, since Ray blocks for as long as its head is away.
        self._making = asyncio.create_task(asyncio.to_thread(self._spawn))
        return await asyncio.shield(self._making)

    async def _respawn_if_ended(self) -> None:
        """Have the role restarted once its process has ended, or if it has not answered for long."""
        now = asyncio.get_running_loop().time()
        ended = await self._ended()
        if self._away_since is None:
            self._away_since = now
        if self._left or not (ended or now - self._away_since > _RESPAWN_AFTER_S):
            return
        self._away_since = now
        if ended:
            await exit_known(self.handle, self._pid, _EXIT_KNOWN_S)
        log.warning("role_respawned", role_name=self.name)
        self._handle, self._alive = await self._made(), None
        self._died.clear()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self.pause_s):
                await self._news.wait()
        except TimeoutError:
            return


def _is_calm(figures: dict[str, Any], before: dict[str, Any]) -> bool:
    """Return whether a role had nothing to do between two looks, and whether the log answers it."""
    same = all(before.get(name) == figure for name, figure in figures.items() if name not in _CLOCKS)
    return same and figures.get("silent_s", 0.0) < _SILENT_S
