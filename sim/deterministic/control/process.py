"""A process of a run, with what `actors.role_process.RoleProcess` does in it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from actors.role_process import NotBegun
from actors.service import RELEASE, Alive, Node, Service
from sim.deterministic.control.virtual_time import Life, VirtualLoop
from storage.records import VERSION

__all__ = ["NotBegun", "Process"]

Build = Callable[[str, str, "Process"], Awaitable[Service]]
"""Makes a role's service from the role, its name and the process that it is in."""


class Process:
    """One life of a process.

    Attributes:
        name: Which the head knows it by.
        pid: Its number; no other process ever has it.
        life: Whose tasks are its.
        known_dead: The head counts it as ended.
        calls: Those that wait for it to answer.
        watchers: Called when it ends, each in the life of who watches.
        role: Name of the role that it is; '' before it is one.
        service: What it does, None before it is a role.
        stopped: It was told to stop, and has.
    """

    build: Build

    def __init__(self, name: str, pid: int, at: Node, loop: VirtualLoop) -> None:
        self.name, self.pid, self._at, self._loop = name, pid, at, loop
        self.life = Life(f"{name}#{pid}", at.id)
        self.known_dead = False
        self.calls: dict[asyncio.Future[Any], None] = {}
        self.watchers: list[Callable[[], None]] = []
        self.role = ""
        self.service: Any = None
        self.inner: Any = None
        self.stopped = False
        self.closed: list[Callable[[], None]] = []
        self._address: tuple[str, int] | None = None
        self._up = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def incarnation(self) -> str:
        """What no other process has."""
        return f"life-{self.pid}"

    @property
    def serves(self) -> bool:
        """Whether it is a role that runs."""
        return self.service is not None and not self.life.dead and not self.stopped

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something in it."""
        return self._loop.create_task(work, context=self.life.context.copy())

    def started(self) -> None:
        """It has loaded its modules."""
        self._up.set()

    def ended(self) -> None:
        """It has ended: those who see that are told."""
        for told in [*self.watchers, *self.closed]:
            told()

    async def answer(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Do what a caller asks."""
        await self._up.wait()
        if method == "warm":
            return self._alive()
        if method == "beat":
            service = await self._begun_as(*arguments)
            return self._alive(), await service.status()
        if method == "stop":
            if self.service is None:
                return []
            given_up = await self.service.stop()
            self.stopped = True
            return given_up
        async with self._lock:
            if self.service is None:
                raise NotBegun
        return await getattr(self.service, method)(*arguments)

    def _alive(self) -> Alive:
        at = self._at
        return Alive(self.incarnation, self.pid, at.address, at.id, self._address, RELEASE, VERSION)

    async def _begun_as(self, role: str, name: str) -> Any:
        async with self._lock:
            if self.service is None:
                service = await self.build(role, name, self)
                self._address = await service.start()
                self.service, self.role = service, name
            elif name != self.role:
                raise LookupError(f"This process is {self.role}, and not {name}.")
            return self.service
