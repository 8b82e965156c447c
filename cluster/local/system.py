"""The whole system on this machine: started in parallel, stopped in order."""

import asyncio
import os
import shutil
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final

import psutil
import structlog

from cluster import key_ring
from cluster.folders import runtime_folder, short_temp
from cluster.local import kept_log, preflight, runfile
from cluster.local.coordinator import LocalCoordinator
from cluster.local.embedded import Embedded
from cluster.local.preflight import StartRefused
from cluster.settings import Settings, url_host, without_password
from cluster.supervision.membership import waiting_for
from roost.errors import Unavailable

_READY_S: Final = 90.0
_LOOK_EVERY_S: Final = 0.1
_TELL_EVERY_S: Final = 3.0
_HURRIED_S: Final = 3.0
"""How long roles may take to stop that were never all there."""


log = structlog.get_logger()


class System:
    """Everything that ``roost up`` starts.

    Attributes:
        step: What is being done, for people who wait.
        settings: With the addresses of embedded servers once they run.
        given_up: What the stop had to give up, a sentence each; nothing if all is well.
        shards: How many there were when it was ready.

    Args:
        settings: What has no address in them is started.
        lock: Descriptor of the data folder's lock, which every child keeps open.
    """

    def __init__(self, settings: Settings, lock: int | None = None) -> None:
        held = () if lock is None else (lock,)
        self.step = "starting"
        self.settings = settings
        self.given_up: list[str] = []
        self.shards = 0
        self._coordinator = told = LocalCoordinator(settings, held)
        self._embedded = Embedded(
            settings, told.tell_servers, told.tell_log_away, told.tell_log_lost, held=held
        )
        self._door: preflight.Door | None = None
        self._ready = False
        self._minder: asyncio.Task[None] | None = None
        self._metrics: str | None = None

    async def start(self) -> runfile.Running:
        """Start everything and return once every role is there.

        Raises:
            StartRefused: The settings do not fit what is there.
            Unavailable: Something did not come up in time.
            ServerFailed: An embedded server did not come up.
        """
        self._door = preflight.check(self.settings)
        self.settings = self.settings.changed({"http": {"port": self._door.port}})
        self._embedded.use(self.settings)
        self.step = "starting the servers and Ray"
        await asyncio.to_thread(key_ring.make, self.settings)
        ray = asyncio.create_task(self._coordinator.start_ray())
        try:
            # What is needed of us until then loads while they start, not before.
            self.settings, _ = await asyncio.gather(self._embedded.start(), to_thread(_load))
            if self._embedded.has_log and not self._embedded.forgets:
                await kept_log.renumber(self.settings, _READY_S)
            await ray
        except BaseException:
            ray.cancel()
            await asyncio.gather(ray, return_exceptions=True)
            raise
        self._metrics = preflight.free_metrics_address(self.settings)
        self._embedded.watch()
        self.step = "starting the roles"
        await self._coordinator.spawn(self.settings)
        await self._until_ready()
        await self._coordinator.tell_servers(self._embedded.rows())  # so that the first status has them
        self._minder = asyncio.create_task(self._mind())
        self.step, self._ready = "", True
        return self._running()

    @property
    def forgets(self) -> bool:
        """Whether a crash of the embedded log's server costs what is not stored yet."""
        return self._embedded.forgets

    async def status(self) -> dict[str, Any]:
        """Return what the coordinator says."""
        return await self._coordinator.status()

    async def stop(self) -> None:
        """Stop in order: the roles, with everything in the log stored; then Ray; then the servers.

        A system that was never ready is stopped within seconds: its log keeps what it had before. What does
        not come about is in `given_up`, and in a file for ``roost down``.
        """
        if self._minder is not None:
            self._minder.cancel()
            await asyncio.gather(self._minder, return_exceptions=True)
        self.step = "storing what is in the log, stopping the roles"
        within_s = None if self._ready else _HURRIED_S
        self.given_up += await self._coordinator.stop_roles(
            self.shards, kept=not self.forgets, within_s=within_s
        )
        self.step = "stopping Ray"
        self.given_up += await self._coordinator.end_ray(at_once=not self._ready)
        for sockets in (runtime_folder(self.settings.data), short_temp(self.settings.data)):
            shutil.rmtree(sockets, ignore_errors=True)  # no one is left to listen there
        self.step = "stopping the servers"
        self.given_up += await self._embedded.stop()
        if self._door is not None:
            self._door.close()
        for sentence in self.given_up:
            log.error("given_up", what=sentence)
        runfile.end(self.settings.data, self.given_up)

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + _READY_S
        status: dict[str, Any] = {}
        while not status.get("ready"):
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"Not ready after {_READY_S:g} s: {waiting_for(status, 'the map')}")
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                status = await self._coordinator.status()
            except Unavailable:
                continue
            self.step = f"waiting for {waiting_for(status, 'the map')}"
            if status["refused"]:
                raise StartRefused(status["refused"])
        self.shards = status["shards"]

    def _running(self) -> runfile.Running:
        settings = self.settings
        scheme = "http" if settings.tls.certificate is None else "https"
        running = runfile.Running(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            ray=self._coordinator.address,
            http=f"{scheme}://{url_host(settings.http.host)}:{settings.http.port}",
            kafka=settings.kafka.url or "",
            mongo=without_password(settings.mongo.url) or "",
            redis=without_password(settings.redis.url) or "",
            fcm=self._embedded.url("fcm"),
            data=str(settings.data),
            server_name=settings.server_name,
            metrics=self._metrics,
        )
        runfile.write(running)
        return running

    async def _mind(self) -> None:
        """Tell the coordinator of the servers again and again: it forgets them when it restarts."""
        while True:
            if await self._coordinator.ray_died(within_s=_TELL_EVERY_S):
                await self._coordinator.restart_ray()
                self._running()
            await self._coordinator.tell_servers(self._embedded.rows())


@asynccontextmanager
async def started(system: System) -> AsyncIterator[runfile.Running]:
    """Run the system inside the block; whatever happens, it is stopped in order."""
    try:
        yield await system.start()
    finally:
        await system.stop()


def _load() -> None:
    """Load what takes half a second, for a thread that does so while the first processes start."""
    for module in ("telemetry.exporter", "cluster.log.topics", "cluster.wiring"):
        import_module(module)
