"""The whole system on this machine: started in parallel, stopped in order."""

import asyncio
import os
import shutil
import socket
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import psutil
import structlog

from cluster.control import stop_report
from cluster.local import runfile
from cluster.local.embedded import Embedded
from cluster.local.head import RayHead
from cluster.log.unfinished import Unfinished
from cluster.settings import Settings, Telemetry, url_host, without_password
from cluster.supervision.membership import waiting_for
from roost.clock import now_ms
from roost.errors import Unavailable
from storage.keyring import KeyRing
from telemetry import otlp

_READY_S: Final = 90.0
_LOOK_EVERY_S: Final = 0.1
_MIND_EVERY_S: Final = 1.0
_TELL_EVERY_S: Final = 3.0
_SILENT_S: Final = 30.0
_HELD_WITHIN_S: Final = 10.0

log = structlog.get_logger()


class StartRefused(Exception):  # noqa: N818 -- named for what happened
    """The system cannot run with these settings; the sentence says what to change."""


class System:
    """Everything that ``roost up`` starts.

    Attributes:
        step: What is being done, for people who wait.
        settings: With the addresses of embedded servers once they run.
        given_up: What the stop had to give up, a sentence each; nothing if all is well.
        shards: How many there were when it was ready.
    """

    def __init__(self, settings: Settings) -> None:
        self.step = "starting"
        self.settings = settings
        self.given_up: list[str] = []
        self._spawned = False
        self._embedded = Embedded(settings, self._tell_servers, self._tell_log_away, self._tell_log_lost)
        self._head = RayHead(settings.data, settings.cluster)
        self._minder: asyncio.Task[None] | None = None
        self._metrics: str | None = None
        self.shards = 0

    async def start(self) -> runfile.Running:
        """Start everything and return once every role is there.

        Raises:
            StartRefused: The settings do not fit what is there.
            Unavailable: Something did not come up in time.
            ServerFailed: An embedded server did not come up.
        """
        self._check_port()
        if self.settings.telemetry.traces_url is not None and not otlp.can_trace():
            raise StartRefused(
                "ROOST_TELEMETRY__TRACES_URL is set: install what it needs, pip install 'roost[otel]'."
            )
        if self.settings.cluster.dashboard_port and find_spec("opencensus") is None:
            raise StartRefused(
                "ROOST_CLUSTER__DASHBOARD_PORT is set: install what Ray's dashboard needs, "
                "pip install 'ray[default]'."
            )
        self.step = "starting the servers and Ray"
        KeyRing.load_or_create(self.settings.keyring_file, now_ms)
        ray = asyncio.create_task(self._head.start())
        try:
            # What is needed of us until then loads while they start, not before.
            self.settings, _ = await asyncio.gather(self._embedded.start(), to_thread(_load))
            if self._embedded.has_log and not self._embedded.forgets:
                await self._renumber()
        finally:
            await ray
        self._metrics = free_metrics_address(self.settings.telemetry)
        self._embedded.watch()
        self.step = "starting the roles"
        self._spawned = True
        await self._head.spawn(self.settings.model_dump_json())
        await self._until_ready()
        await self._tell_servers(self._embedded.rows())  # so that the first status has them
        self._minder = asyncio.create_task(self._mind())
        self.step = ""
        return self._running()

    @property
    def forgets(self) -> bool:
        """Whether a crash of the embedded log's server costs what is not stored yet."""
        return self._embedded.forgets

    async def status(self) -> dict[str, Any]:
        """Return what the coordinator says."""
        return await self._head.status()

    async def stop(self) -> None:
        """Stop in order: the roles, with everything in the log stored; then Ray; then the servers.

        What does not come about is in `given_up`, and in a file for ``roost down``.
        """
        if self._minder is not None:
            self._minder.cancel()
            await asyncio.gather(self._minder, return_exceptions=True)
        self.step = "storing what is in the log, stopping the roles"
        if self._spawned:
            self.given_up += await self._roles_stopped()
        self.step = "stopping Ray"
        if await self._head.end():
            self.given_up.append("Ray did not end by itself, and was ended by force.")
        from cluster.folders import runtime_folder  # noqa: PLC0415 -- see `_load`

        shutil.rmtree(runtime_folder(self.settings.data), ignore_errors=True)  # no one is left to show
        self.step = "stopping the servers"
        self.given_up += await self._embedded.stop()
        for sentence in self.given_up:
            log.error("given_up", what=sentence)
        runfile.end(self.settings.data, self.given_up)

    async def _roles_stopped(self) -> list[str]:
        """Stop the roles in order, and return what was given up."""
        kept = not self._embedded.forgets
        stopping = asyncio.create_task(self._head.stop_roles(kept=kept))
        try:
            await self._while_it_answers(stopping)
            return await stopping
        except Unavailable as exc:
            log.error("stop_incomplete", reason=exc.detail)  # noqa: TRY400 -- a sentence
            nobody = Unfinished({}, dict.fromkeys(range(self.shards), "the coordinator"))
            return [
                f"The roles did not stop in order: {exc.detail}",
                *stop_report.stop_report("router", nobody, kept=kept),
            ]

    async def _while_it_answers(self, work: "asyncio.Task[Any]") -> None:
        """Return when the coordinator's work is done; raises ``Unavailable`` if it has long been silent."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while not (await asyncio.wait([work], timeout=_MIND_EVERY_S))[0]:
            try:
                await self._head.status()
                heard = loop.time()
            except Unavailable:
                if loop.time() - heard > _SILENT_S:
                    work.cancel()
                    raise

    # --- starting ---------------------------------------------------------------------------------

    def _check_port(self) -> None:
        """Find out now what every gateway would find out later."""
        http = self.settings.http
        with socket.socket(_family(http.host)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((http.host, http.port))
            except OSError as exc:
                raise StartRefused(
                    f"{http.host}:{http.port} is not available ({exc.strerror}). "
                    "Choose another port with --port."
                ) from exc
            port = probe.getsockname()[1]
        self.settings = self.settings.changed({"http": {"port": port}})
        self._embedded.use(self.settings)

    async def _renumber(self) -> None:
        """Look at the log that was kept, as soon as the store answers; it may be the operator's own."""
        from cluster import wiring  # noqa: PLC0415 -- see `_load`
        from cluster.log import topics  # noqa: PLC0415 -- see `_load`

        deadline = asyncio.get_running_loop().time() + _READY_S
        store = wiring.open_store(self.settings, wiring.open_keyring(self.settings))
        admin = await wiring.open_admin(self.settings)
        try:
            while True:
                try:
                    await topics.renumber(store.cluster, admin, now_ms)
                except Unavailable as exc:
                    if asyncio.get_running_loop().time() > deadline:
                        raise
                    log.warning("start_postponed", reason=exc.detail)
                    await asyncio.sleep(_MIND_EVERY_S)
                else:
                    return
        finally:
            await admin.close()
            await store.close()

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + _READY_S
        status: dict[str, Any] = {}
        while not status.get("ready"):
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"Not ready after {_READY_S:g} s: {waiting_for(status, 'the map')}")
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                status = await self._head.status()
            except Unavailable:
                continue
            self.step = f"waiting for {waiting_for(status, 'the map')}"
            if status["refused"]:
                raise StartRefused(status["refused"])
        self.shards = status["shards"]

    def _running(self) -> runfile.Running:
        settings = self.settings
        scheme = "http" if settings.tls.certificate is None else "https"
        fcm = self._embedded.address("fcm")
        running = runfile.Running(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            ray=self._head.address,
            http=f"{scheme}://{url_host(settings.http.host)}:{settings.http.port}",
            kafka=settings.kafka.url or "",
            mongo=without_password(settings.mongo.url) or "",
            redis=without_password(settings.redis.url) or "",
            fcm=None if fcm is None else f"http://{fcm}",
            data=str(settings.data),
            server_name=settings.server_name,
            metrics=self._metrics,
        )
        runfile.write(running)
        return running

    # --- running ----------------------------------------------------------------------------------

    async def _mind(self) -> None:
        """Tell the coordinator of the servers again and again: it forgets them when it restarts."""
        died = asyncio.create_task(self._head.wait())
        try:
            while True:
                await asyncio.wait([died], timeout=_TELL_EVERY_S)
                if died.done():
                    await self._restart_ray()
                    died = asyncio.create_task(self._head.wait())
                await self._tell_servers(self._embedded.rows())
        finally:
            died.cancel()

    async def _restart_ray(self) -> None:
        """Start Ray and every role from scratch. The servers stay, and with them everything accepted."""
        while True:
            log.error("ray_died")
            await self._head.end()
            self._head = RayHead(self.settings.data, self.settings.cluster)
            try:
                await self._head.start()
                await self._head.spawn(self.settings.model_dump_json())
            except Unavailable as exc:
                log.warning("ray_not_restarted", reason=exc.detail)
                await asyncio.sleep(_MIND_EVERY_S)
                continue
            self._running()
            log.warning("ray_restarted", address=self._head.address)
            return

    async def _tell_servers(self, rows: list[dict[str, Any]]) -> None:
        try:
            await self._head.tell({"act": "servers", "rows": rows})
        except Unavailable as exc:
            log.warning("coordinator_away", reason=exc.detail)

    async def _tell_log_away(self) -> None:
        """Have every role held, if that comes about soon: a log that stays away helps no one either."""
        deadline = asyncio.get_running_loop().time() + _HELD_WITHIN_S
        while asyncio.get_running_loop().time() < deadline:
            try:
                await self._head.tell({"act": "log_away"})
            except Unavailable:
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                return
        log.error("writes_not_paused", waited_s=_HELD_WITHIN_S)

    async def _tell_log_lost(self) -> None:
        while True:
            try:
                await self._head.tell({"act": "log_lost"})
            except Unavailable:
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                return


@asynccontextmanager
async def started(system: System) -> AsyncIterator[runfile.Running]:
    """Run the system inside the block; whatever happens, it is stopped in order."""
    try:
        yield await system.start()
    finally:
        await system.stop()


def free_metrics_address(telemetry: Telemetry) -> str | None:
    """Return where the metrics of this node will be; None: nowhere, or not before someone else lets go."""
    from telemetry.exporter import PATH  # noqa: PLC0415 -- see `_load`

    host, port = telemetry.metrics_host, telemetry.metrics_port
    if not port:
        return None
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as exc:
        log.warning("metrics_port_taken", host=host, port=port, reason=str(exc))
        return None
    return f"http://{url_host(host)}:{port}{PATH}"


def _load() -> None:
    """Load what takes half a second, for a thread that does so while the first processes start."""
    for module in ("telemetry.exporter", "cluster.log.topics", "cluster.wiring"):
        import_module(module)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
