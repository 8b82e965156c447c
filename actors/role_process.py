"""The process of a role, as its methods are called from others. `ray_actor` makes it a Ray actor.

Arguments and answers are MessagePack or JSON, so that Ray never pickles our types and a role of another
version fails with a decoding error instead of something strange.
"""

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import msgspec
import structlog

from actors.service import INCARNATION, RELEASE, Alive, Node, Service
from roost.tasks import BackgroundTasks
from storage.records import VERSION
from storage.shard_map import ShardMap

GROUP = "roost.roles"
_SPARE_NICENESS = 15

log = structlog.get_logger()

Builder = Callable[[str, str], Awaitable[Service]]
"""Makes a role's service from its name and the settings as JSON."""


class NotBegun(Exception):  # noqa: N818 -- named for what happened
    """This process has not become a role yet."""


def builder_of(role: str) -> Builder:
    """Return what an installed distribution names as the builder of the role.

    Raises:
        LookupError: No distribution offers such a role.
    """
    for entry in entry_points(group=GROUP, name=role):
        found: Builder = entry.load()
        return found
    raise LookupError(f"No installed distribution offers the role {role!r} (entry points {GROUP!r}).")


class RoleProcess:
    """A role in its process; each process is one incarnation of the service.

    The first `beat` says which role that is: a spare can become any.

    Args:
        role: Which it was made for.
        name: Its name.
        settings_json: For the builder.
        here: Tells the machine that this process is on.
        eager: Start the service without waiting for `beat`.
    """

    def __init__(
        self, role: str, name: str, settings_json: str, here: Callable[[], Node], *, eager: bool
    ) -> None:
        self._role, self._name, self._here = role, name, here
        self._settings_json, self._eager = settings_json, eager
        self._lock = asyncio.Lock()
        self._service: Service | None = None
        self._address: tuple[str, int] | None = None
        self._starting = BackgroundTasks()
        if eager:
            self._starting.spawn(self._start_eagerly())

    async def warm(self, loader: str) -> bytes:
        """Load what any role needs, with little claim to processor time; say who is here."""
        with ThreadPoolExecutor(1) as own_thread:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(own_thread, _load_all, loader, self._settings_json)
        return msgspec.msgpack.encode(self._alive())

    async def beat(self, role: str = "", name: str = "") -> bytes:
        """Start the service on the first call; return who is here, and its figures.

        Args:
            role: Which to be; '': the one that the process was made for.
            name: Its name.
        """
        service = await self._started(role or self._role, name or self._name)
        return msgspec.msgpack.encode((self._alive(), await service.status()))

    def _alive(self) -> Alive:
        at = self._here()
        return Alive(INCARNATION, os.getpid(), at.address, at.id, self._address, RELEASE, VERSION)

    async def apply(self, shard_map: bytes) -> None:
        """See `Service`."""
        await (await self._begun()).apply(msgspec.msgpack.decode(shard_map, type=ShardMap))

    async def pause_writes(self) -> None:
        """See `Service`."""
        await (await self._begun()).pause_writes()

    async def resume_writes(self) -> None:
        """See `Service`."""
        await (await self._begun()).resume_writes()

    async def status(self) -> bytes:
        """See `Service`."""
        return msgspec.msgpack.encode(await (await self._begun()).status())

    async def metrics(self) -> bytes:
        """See `Service`."""
        return await (await self._begun()).metrics()

    async def tell(self, message: bytes) -> bytes:
        """Pass an operator's message to a service that takes such; answers with its answer."""
        service: Any = await self._begun()
        return msgspec.msgpack.encode(await service.tell(msgspec.msgpack.decode(message)))

    async def stop(self) -> list[str]:
        """See `Service`; a service that never began gives up nothing."""
        return await self._service.stop() if self._service is not None else []

    async def _begun(self) -> Service:
        """Return the service; only a beat says which one it is, unless it is eager."""
        if self._eager:
            return await self._started(self._role, self._name)
        async with self._lock:
            if self._service is None:
                raise NotBegun
            return self._service

    async def _started(self, role: str, name: str) -> Service:
        async with self._lock:
            if self._service is None:
                service = await builder_of(role)(name, self._settings_json)
                self._address = await service.start()
                self._service = service
                self._role, self._name = role, name
                _collect_seldom()
            elif name != self._name:
                raise LookupError(f"This process is {self._name}, and not {name}.")
            return self._service

    async def _start_eagerly(self) -> None:
        """Start without being asked: nothing looks after the one who looks after the others."""
        while self._service is None:
            try:
                await self._started(self._role, self._name)
            except Exception:  # a process that gives up would be restarted only to fail again
                log.exception("start_failed", role=self._role, name=self._name)
                await asyncio.sleep(1.0)


def _collect_seldom() -> None:
    """Leave what was loaded out of garbage collection, and look at the rest less often.

    Records, frames and entries come and go by reference counts; the collector's own rounds over all
    of them were a tenth of a busy role's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _load_all(loader: str, settings_json: str) -> None:
    """Load the builders of all roles, and what the loader adds.

    Niceness belongs to a thread on Linux, and cannot be taken back: the thread that calls this keeps it.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _SPARE_NICENESS)
    for entry in entry_points(group=GROUP):
        entry.load()
    module, _, function = loader.partition(":")
    getattr(import_module(module), function)(settings_json)
    gc.collect()
    gc.freeze()
