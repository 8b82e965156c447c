"""Spares: processes that have loaded everything and have no role until one takes a dead role's place.

Nearly all of the time in which a role comes back is a new process that loads its modules. So the process of a
spare becomes the role, under the same name, and the two swap processes: what is started in the place of the
dead one is the next spare. That happens when the storm is over, and with little claim to a core.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import structlog
from msgspec import Struct, field

from actors.ray_actor import RELEASE, RoleAway, RoleFailed, RoleHandle
from actors.service import Alive
from cluster.supervision.membership import RESTARTING, RUNNING, STARTING
from cluster.supervision.process_exit import ExitWatch, exit_known

SPARE: Final = "spare"

_LOADER: Final = "cluster.wiring:load_all"

_STORM_S: Final = 5.0
"""After the start, and after a spare was taken, the other processes have the processor for so long."""

_VISIT_EVERY_S: Final = 30.0
_AGAIN_S: Final = 1.0
_STOPPED_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.2
_LOOKS: Final = 300
"""So often at most it is looked whether all are there: one that cannot start does not keep spares away."""


log = structlog.get_logger()


class Spare(Struct):
    """One of them.

    Attributes:
        name: ``spare-1`` and so on.
        handle: Its process, None before it is made.
        alive: What it said when it was ready; None: it is not.
        taken: How many times it took a role's place.
        renewed: It is known to run no older release than we do.
        failure: Why it is not ready, if that is known.
        news: Wakes who looks after it.
    """

    name: str
    handle: RoleHandle | None = None
    alive: Alive | None = None
    taken: int = 0
    renewed: bool = False
    failure: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Spares:
    """All spares of the installation.

    Args:
        count: How many.
        node_id: The machine that we are on.
        spawn: Makes or finds the process of one by its name; blocks.
        may_serve: Says of a machine's id whether roles may be there, and spares.
        swapped: Called with the names of a role and of the spare that have swapped processes.
        watch: Makes what tells of the end of a process near us.
    """

    def __init__(
        self,
        count: int,
        node_id: str,
        spawn: Callable[[str], RoleHandle],
        may_serve: Callable[[str], bool],
        swapped: Callable[[str, str], None],
        watch: Callable[[Callable[[], None]], ExitWatch] = ExitWatch,
    ) -> None:
        self._spares = [Spare(f"{SPARE}-{number}") for number in range(1, count + 1)]
        self._node_id = node_id
        self._begun = False
        self.watch = watch
        self._spawn, self._may_serve, self._swapped = spawn, may_serve, swapped

    async def take(self, dead: RoleHandle, alive: Alive) -> RoleHandle | None:
        """Return the process that is to be this role from now on; None: none is ready that may.

        Args:
            dead: The role whose process is known to have ended. What is started in its place is a spare.
            alive: Its last answer. A spare of another release is left alone: it is not the one to bring
                that release back, or in.
        """
        for spare in self._spares:
            if spare.alive is None or spare.alive.release != alive.release:
                continue
            if not self._may_serve(spare.alive.node_id) or not await self._is_there(spare):
                continue
            if spare.handle is None:
                continue
            heir = spare.handle.of(dead.role, dead.name)
            spare.handle = spare.alive = None
            spare.taken += 1
            spare.news.set()
            log.warning("spare_takes_over", role_name=dead.name, spare=spare.name, process=heir.process)
            self._swapped(dead.name, spare.name)
            return heir
        return None

    async def leave(self, node_id: str) -> int:
        """Have no spare on this machine; they are made elsewhere.

        Returns:
            How many were there. Their processes have ended, as have those of spares that were not ready,
            wherever they were.

        Raises:
            RoleAway: It is not known whether one has.
        """
        count = 0
        for spare in self._spares:
            handle, alive = spare.handle, spare.alive
            if handle is None or (alive is not None and alive.node_id != node_id):
                continue
            spare.handle = spare.alive = None
            spare.news.set()
            handle.kill()
            count += alive is not None
            if not await exit_known(handle, alive.pid if alive else None, _STOPPED_S):
                raise RoleAway(f"Ray does not say that {spare.name}, which was stopped, has ended.")
        return count

    def is_near(self, alive: Alive) -> bool:
        """Return whether a process is on our machine, so that the kernel tells us of its end."""
        return alive.node_id == self._node_id

    def rows(self) -> list[dict[str, Any]]:
        """Return the spares for ``roost status``; nothing before the system is ready, which needs none."""
        return [
            {
                "role": SPARE,
                "name": spare.name,
                "pid": spare.alive.pid if spare.alive else None,
                "node": spare.alive.node if spare.alive else None,
                "state": RUNNING if spare.alive else RESTARTING if spare.taken else STARTING,
                "release": spare.alive.release if spare.alive else None,
                "taken": spare.taken,
                "detail": spare.failure,
            }
            for spare in self._spares
            if self._begun
        ]

    async def run(self, ready: Callable[[], bool]) -> None:
        """Make the spares when every role is there, or cannot be, and look after them indefinitely."""
        for _ in range(_LOOKS):
            if ready():
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        self._begun = True
        async with asyncio.TaskGroup() as group:
            for spare in self._spares:
                group.create_task(self._look_after(spare), name=spare.name)

    def end(self) -> None:
        """End them all for good."""
        for spare in self._spares:
            if spare.handle is not None:
                spare.handle.kill()

    async def _is_there(self, spare: Spare) -> bool:
        """Return whether it did not die with the dead role's machine; of ours the kernel has told us."""
        handle, alive = spare.handle, spare.alive
        if handle is None or alive is None:
            return False
        if not self.is_near(alive) and await asyncio.to_thread(handle.ended, alive.pid):
            if spare.handle is handle:
                _ended(spare)
            return False
        return spare.handle is handle and spare.alive is alive

    # --- one of them --------------------------------------------------------------------------------

    async def _look_after(self, spare: Spare) -> None:
        watch = self.watch(lambda: _ended(spare))
        try:
            while True:
                spare.news.clear()
                if spare.alive is None:
                    await asyncio.sleep(_STORM_S)
                await self._visit(spare, watch)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_VISIT_EVERY_S):
                        await spare.news.wait()
        finally:
            watch.stop()

    async def _visit(self, spare: Spare, watch: ExitWatch) -> None:
        """Make its process, if there is none, and have it load its modules; returns when it is ready."""
        while True:
            try:
                if spare.handle is None:
                    spare.handle = await asyncio.to_thread(self._spawn, spare.name)
                handle = spare.handle
                alive = await handle.warm(_LOADER)
            except (RoleAway, RoleFailed) as exc:
                spare.handle, spare.alive, spare.failure = None, None, str(exc)
                await asyncio.sleep(_AGAIN_S)
                continue
            if handle is not spare.handle:
                return  # taken meanwhile
            if not self._is_new_enough(spare, alive) or not self._may_serve(alive.node_id):
                handle.kill()
                spare.handle = None
                await asyncio.sleep(_AGAIN_S)
                continue
            if spare.alive is None or spare.alive.incarnation != alive.incarnation:
                log.info("spare_ready", name=spare.name, pid=alive.pid, process=handle.process)
                if self.is_near(alive):
                    watch.watch(alive.pid)
            spare.alive, spare.failure = alive, ""
            return

    def _is_new_enough(self, spare: Spare, alive: Alive) -> bool:
        """Return whether it runs our release: one that a coordinator before us left behind may not."""
        found, spare.renewed = spare.renewed, True
        return found or alive.release == RELEASE


def _ended(spare: Spare) -> None:
    spare.alive = None
    spare.news.set()
