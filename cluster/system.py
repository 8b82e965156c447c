"""The whole system on this machine: started in parallel, stopped in order."""

import asyncio
import hashlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from cluster import runfile, wiring
from cluster.embedded import Embedded
from cluster.settings import Settings, set_for_libraries, without_password
from roost.errors import Unavailable

COORDINATOR: Final = "coordinator"
_READY_S: Final = 90.0
_STOP_S: Final = 90.0
_LOOK_EVERY_S: Final = 0.1
_MIND_EVERY_S: Final = 1.0
_SHORT_TEMP: Final = 20

log = structlog.get_logger()


class Refused(Exception):  # noqa: N818 -- named for what happened
    """The system cannot run with these settings; the sentence says what to change."""


class System:
    """Everything that ``roost up`` starts.

    Attributes:
        step: What is being done, for people who wait.
        settings: With the addresses of embedded servers once they run.
    """

    def __init__(self, settings: Settings) -> None:
        self.step = "starting"
        self.settings = settings
        self._embedded = Embedded(settings, self._tell_servers, self._tell_log_lost)
        # The kernel ends Ray's daemons when the thread that started them ends: it must outlive start().
        self._ray_thread = ThreadPoolExecutor(1, "ray")
        self._ray_runs = False
        self._coordinator: Any = None
        self._minder: asyncio.Task[None] | None = None

    async def start(self) -> runfile.Running:
        """Start everything and return once every role is there.

        Raises:
            Refused: The settings do not fit what is there.
            Unavailable: Something did not come up in time.
            ServerFailed: An embedded server did not come up.
        """
        self._check_port()
        self.step = "starting the servers and Ray"
        wiring.open_keyring(self.settings)
        ray_started = asyncio.get_running_loop().run_in_executor(
            self._ray_thread, _start_ray, self.settings.data
        )
        try:
            self.settings = await self._embedded.start()
        finally:
            ray_address = await ray_started
            self._ray_runs = True
        self._embedded.watch()
        self.step = "starting the roles"
        self._coordinator = await self._in_ray_thread(_spawn_coordinator, self.settings.model_dump_json())
        await self._until_ready()
        self._minder = asyncio.create_task(self._mind())
        self.step = ""
        return self._running(ray_address)

    async def status(self) -> dict[str, Any]:
        """Return what the coordinator says."""
        found: dict[str, Any] = await self._coordinator.status()
        return found

    async def stop(self) -> None:
        """Stop in order: the roles, with everything in the log stored; then Ray; then the servers."""
        if self._minder is not None:
            self._minder.cancel()
            await asyncio.gather(self._minder, return_exceptions=True)
        if self._coordinator is not None:
            self.step = "storing what is in the log, stopping the roles"
            try:
                await self._coordinator.stop(_STOP_S)
            except Exception as exc:  # noqa: BLE001 -- whatever it is, the rest must be stopped, too
                log.error("stop_incomplete", reason=str(exc))  # noqa: TRY400 -- a sentence
        if self._ray_runs:
            self.step = "stopping Ray"
            await self._in_ray_thread(_leave_ray)
        self._ray_thread.shutdown()
        self.step = "stopping the servers"
        await self._embedded.stop()
        runfile.remove(self.settings.data)

    # --- starting ---------------------------------------------------------------------------------

    def _check_port(self) -> None:
        """Find out now what every gateway would find out later."""
        http = self.settings.http
        family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((http.host, http.port))
            except OSError as exc:
                raise Refused(
                    f"{http.host}:{http.port} cannot be listened on ({exc.strerror}). "
                    "Choose another port with --port."
                ) from exc
            port = probe.getsockname()[1]
        self.settings = self.settings.changed({"http": {"port": port}})
        self._embedded.use(self.settings)

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + _READY_S
        status: dict[str, Any] = {}
        while not status.get("ready"):
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"Not ready after {_READY_S:g} s: {_waiting_for(status)}")
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                status = await self._coordinator.status()
            except Unavailable:
                continue
            self.step = f"waiting for {_waiting_for(status)}"
            if status["refused"]:
                raise Refused(status["refused"])

    def _running(self, ray_address: str) -> runfile.Running:
        settings = self.settings
        scheme = "http" if settings.tls.certificate is None else "https"
        host = "127.0.0.1" if settings.http.host in ("0.0.0.0", "::") else settings.http.host  # noqa: S104 -- compared
        fcm = self._embedded.address("fcm")
        running = runfile.Running(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            ray=ray_address,
            http=f"{scheme}://{host}:{settings.http.port}",
            kafka=settings.kafka.url or "",
            mongo=without_password(settings.mongo.url) or "",
            redis=without_password(settings.redis.url) or "",
            fcm=None if fcm is None else f"http://{fcm}",
            data=str(settings.data),
            server_name=settings.server_name,
        )
        runfile.write(running)
        return running

    async def _in_ray_thread(self, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._ray_thread, call, *arguments)

    # --- running ----------------------------------------------------------------------------------

    async def _mind(self) -> None:
        """Tell the coordinator about the servers again and again: it forgets them when it restarts."""
        while True:
            await self._tell_servers(self._embedded.rows())
            await asyncio.sleep(_MIND_EVERY_S)

    async def _tell_servers(self, rows: list[dict[str, Any]]) -> None:
        try:
            await self._coordinator.tell({"act": "servers", "rows": rows}, 5.0)
        except Unavailable as exc:
            log.warning("coordinator_away", reason=exc.detail)

    async def _tell_log_lost(self) -> None:
        while True:
            try:
                await self._coordinator.tell({"act": "log_lost"}, 5.0)
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


def prepare_ray(data: Path) -> None:
    """Tell Ray, before it is loaded, whom to trust and to phone nobody."""
    token = runfile.ray_token_in(data)
    if not token.exists():
        descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    set_for_libraries(
        {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # Ray's 15 would let every other process go before the roles
            "RAY_enable_metrics_collection": "0",
            "RAY_enable_open_telemetry": "0",
            # Despite its name: every daemon listens on loopback, on Linux, too. Roles on other machines join
            # a cluster that was made with `ray start`.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            # How long Ray's processes look for a head that is gone; nobody starts this one again.
            "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
        }
    )


def _start_ray(data: Path) -> str:
    prepare_ray(data)
    logging.getLogger("ray").setLevel(logging.ERROR)
    from actors.ray_actor import start_ray  # noqa: PLC0415 -- reads its variables when it is loaded

    temp = _short_temp(data)
    shutil.rmtree(temp, ignore_errors=True)  # what a killed run left; nobody else uses this data folder
    temp.mkdir(parents=True)
    return start_ray(temp)


def _short_temp(data: Path) -> Path:
    """Return a folder for Ray's sockets, whose paths may have 107 bytes at most."""
    base = tempfile.gettempdir()
    name = hashlib.blake2b(str(data).encode(), digest_size=4).hexdigest()
    return Path(base if len(base) <= _SHORT_TEMP else "/tmp") / f"roost-{os.getuid()}" / name  # noqa: S108


def _spawn_coordinator(settings_json: str) -> Any:
    from actors.ray_actor import spawn  # noqa: PLC0415 -- after `prepare_ray`

    return spawn(COORDINATOR, COORDINATOR, settings_json, eager=True)


def _leave_ray() -> None:
    from actors.ray_actor import leave_ray  # noqa: PLC0415 -- after `prepare_ray`

    leave_ray()


def _waiting_for(status: dict[str, Any]) -> str:
    rows = [row for row in status.get("roles", ()) if row["state"] != "running" or row.get("detail")]
    return ", ".join(f"{row['name']} ({row.get('detail') or row['state']})" for row in rows) or "the map"
