"""A whole system as a child process, and the faults that happen to its processes."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from cluster.local import passwords
from cluster.local.servers import free_port
from cluster.settings import Settings
from roost.cli.launch import STOP_S, RoostUp
from storage.access import Access
from tests.encrypted import for_any_client
from tests.live.asking import Asking
from tests.live.waiting import until

BACK_S: Final = 60.0

_TAIL_LINES: Final = 25


class System(RoostUp):
    """``roost up`` with a data folder, as tests see it.

    Args:
        folder: Where its data folder is made, or is already.
        options: Further options of ``roost up``.
        env: Variables for it.
    """

    def __init__(self, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        metrics = {"ROOST_TELEMETRY__METRICS_PORT": str(free_port())}
        super().__init__(
            folder / "data",
            folder / "up.log",
            options=options,
            env=metrics | (env or {}),
            on_death=signal.SIGKILL,
        )
        self._asking = Asking(self.data)
        self._seen: set[psutil.Process] = set()

    # --- its life ---------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the process, without waiting."""
        self.folder.mkdir(parents=True, exist_ok=True)
        super().launch()

    def wait(self, within: float = STOP_S) -> int:
        """Return its exit status once it has ended."""
        status = super().wait(within)
        self._asking.close()
        return status

    async def started(self) -> "System":
        """Start it while the loop goes on, and return when it is ready."""
        self.launch()
        await asyncio.to_thread(self.until_ready)
        return self

    # --- what it says -----------------------------------------------------------------------------

    @property
    def http(self) -> str:
        """Base URL of the API."""
        return str(self.ready["http"])

    @property
    def kafka(self) -> str:
        """Address of the log's broker."""
        return str(self.ready["kafka"])

    @property
    def mongo(self) -> str:
        """URL of the store, with its password."""
        return for_any_client(self._signed_in("mongo"))

    @property
    def redis(self) -> str:
        """URL of the cache, with its password."""
        return self._signed_in("redis")

    def _signed_in(self, server: str) -> str:
        password = passwords.file_of(self.data, server).read_text().strip()
        return str(self.ready[server]).replace("://", f"://{passwords.USER}:{password}@")

    @property
    def log_access(self) -> Access:
        """What a client of the log's broker needs besides its address."""
        return passwords.security(Settings.load({"data": self.data}), "kafka").access()

    @property
    def fcm(self) -> str:
        """Base URL of the push endpoint."""
        return str(self.ready["fcm"])

    async def status(self) -> dict[str, Any]:
        """Return what ``roost status --json`` says; where there is no answer, no roles and why."""
        return await self._asking.status()

    async def roles(self, role: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of ``roost status``, of one role or of all."""
        return [row for row in (await self.status())["roles"] if role in (None, row["role"])]

    async def spare(self) -> dict[str, Any]:
        """Return the row of the spare once it is ready."""
        rows: list[dict[str, Any]] = []

        async def absent() -> str:
            rows[:] = [row for row in await self.roles("spare") if row["state"] == "running"]
            return "" if rows else f"no spare is ready: {await self.status()}"

        await until(absent, within=BACK_S)
        return rows[0]

    async def pushes(self) -> list[dict[str, Any]]:
        """Return what the push endpoint received."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.fcm}/pushes") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    def processes(self) -> list[psutil.Process]:
        """Return every process of the system, whoever is its parent by now.

        Some show it in their command or variables; Ray's workers overwrite both with a title, and are
        known because they were seen as children before.
        """
        marks = [str(self.data), *self._ray_folders()]
        found = {each for each in psutil.process_iter() if each.pid != os.getpid() and _shows(each, marks)}
        if self.running:
            found.update(psutil.Process(self.child.pid).children(recursive=True))
        self._seen |= found
        return [each for each in self._seen if _lives(each)]

    def tail(self) -> str:
        """Return the ends of all logs."""
        files = [self.log, *sorted(self.data.glob("*.log")), *sorted(self.data.glob("logs/*"))]
        return "\n".join(f"--- {file.name}\n{_tail(file)}" for file in files if file.is_file())

    def _ray_folders(self) -> list[str]:
        from cluster.folders import short_temp  # noqa: PLC0415 -- the only place that knows the name

        return [str(short_temp(self.data))]

    # --- what happens to it -----------------------------------------------------------------------

    @asynccontextmanager
    async def killed(self, role: str) -> AsyncIterator[dict[str, Any]]:
        """``kill -9`` one process of the role; on leaving, wait until another runs in its place.

        Yields:
            The row of the one that was killed; ``back_s`` and ``heir``, the process that runs in its place,
            are in it afterwards.
        """
        await until(lambda: self._without(role), within=10)  # a new coordinator is told of servers soon
        row = (await self.roles(role))[0]
        os.kill(row["pid"], signal.SIGKILL)
        began = time.monotonic()
        yield row
        await until(lambda: self._not_back(row), within=BACK_S)
        row["back_s"] = time.monotonic() - began

    async def _without(self, role: str) -> str:
        return "" if await self.roles(role) else f"the status has no {role}"

    async def _not_back(self, row: dict[str, Any]) -> str:
        status = await self.status()
        for now in status["roles"]:
            if now["name"] == row["name"] and now["state"] == "running" and now["pid"] != row["pid"]:
                row["heir"] = now["pid"]
                return ""
        return f"{row['name']} is not back: {status}"


@asynccontextmanager
async def frozen(pid: int) -> AsyncIterator[None]:
    """Stop the process with SIGSTOP while inside."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _shows(process: psutil.Process, marks: list[str]) -> bool:
    try:
        if not _lives(process):
            return False
        words = [*process.cmdline(), *process.environ().values()]
    except psutil.Error:
        return False
    return any(mark in word for mark in marks for word in words)


def _tail(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
