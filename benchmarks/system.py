"""A whole embedded system as a child process, of this checkout or of another."""

import asyncio
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvloop

from benchmarks.accounts import Account, sign_up
from benchmarks.audit import audit
from benchmarks.client import Client
from benchmarks.ledger import Book
from benchmarks.usage import OTHERS
from roost.cli.launch import RoostUp
from roost.memory import settle_malloc

_NAMES = {"kafka": "broker", "mongo": "store"}

_T = TypeVar("_T")


class System:
    """``roost up`` with a data folder; it can be stopped in order and started again on the same data.

    Args:
        folder: Where its data folder and the log of ``roost up`` are.
        roost: The command line's program, with leading arguments if need be; None: of this environment.
        options: Further options of ``roost up``.
        settings: Variables for it, beside those of this process.

    Attributes:
        http: Base URL of the API, once it is started.
        ready_s: How long the last start took.
    """

    client = Client

    def __init__(
        self,
        folder: Path,
        *,
        roost: str | None = None,
        options: Sequence[str] = (),
        settings: dict[str, str] | None = None,
    ) -> None:
        self.folder, self.data = folder, folder / "data"
        self.http = ""
        self.ready_s = 0.0
        self._program = shlex.split(roost) if roost else [sys.executable, "-m", "roost"]
        self._up = RoostUp(
            self.data,
            folder / "up.log",
            options=options,
            # The generator shows its first token only, and a run may be longer than that lives.
            env={"ROOST_TOKENS__ACCESS_S": "21600"} | (settings or {}),
            program=self._program,
            on_death=signal.SIGKILL,
        )

    async def start(self) -> None:
        """Start it, and return when it is ready.

        Raises:
            Unavailable: It ended, or was not ready in time; the end of its log is in the sentence.
        """
        began = asyncio.get_running_loop().time()
        self._up.launch()
        self.http = (await asyncio.to_thread(self._up.until_ready))["http"]
        self.ready_s = asyncio.get_running_loop().time() - began

    async def stop(self) -> int:
        """Stop it in order and return its exit status; it is killed if it takes too long."""
        return await asyncio.to_thread(self._up.stop)

    async def sign_up(self, names: list[str]) -> list[Account]:
        """Make so many accounts."""
        return await sign_up(self.http, names)

    async def audit(self, people: list[Account], book: Book, first: Callable[[], Awaitable[None]]) -> None:
        """Start afresh, do something first, tell the ledgers what is in people's mailboxes, and stop."""
        await self.start()
        await first()
        await audit(self.http, people, book)
        await self.stop()

    async def processes(self) -> dict[int, str]:
        """Return every process of the system with its role, as ``roost status --json`` says."""
        roles = await self.rows()
        parent = psutil.Process(self._up.child.pid)
        found = dict.fromkeys([parent.pid, *(each.pid for each in parent.children(recursive=True))], OTHERS)
        named = {row["pid"]: _NAMES.get(row["role"], row["role"]) for row in roles if row.get("pid")}
        return found | named

    async def rows(self) -> list[dict[str, Any]]:
        """Return what ``roost status --json`` says of roles and servers."""
        child = await asyncio.create_subprocess_exec(
            *self._program, "status", "--json", "--data", str(self.data),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=self.folder,
        )  # fmt: skip
        out, _ = await child.communicate()
        if child.returncode:
            raise RuntimeError(f"roost status ended with {child.returncode}; roost up said:\n{self.log()}")
        found: list[dict[str, Any]] = json.loads(out)["roles"]
        return found

    async def serving(self, role: str) -> int:
        """Return the process id of one of the role, of the one with most shards if they have such."""
        rows = [row for row in await self.rows() if row["role"] == role and row.get("pid")]
        return int(max(rows, key=lambda row: row.get("shards", 0))["pid"])

    async def pids(self, role: str) -> list[int]:
        """Return the process ids of one role."""
        return [pid for pid, each in (await self.processes()).items() if each == role]

    def log(self) -> str:
        """Return the end of what ``roost up`` said."""
        return self._up.tail()


@asynccontextmanager
async def embedded() -> AsyncIterator[System]:
    """Run an embedded system in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="roost-bench-") as folder:
        system = System(Path(folder))
        await system.start()
        try:
            yield system
        finally:
            if status := await system.stop():
                raise RuntimeError(f"roost up ended with {status}:\n{system.log()}")


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a program; SIGTERM cancels it, so that the servers it started are stopped in order."""
    settle_malloc()

    async def cancelled_by_a_signal() -> _T:
        task = asyncio.ensure_future(main)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    return uvloop.run(cancelled_by_a_signal())


def environment() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "load_before": round(os.getloadavg()[0], 2),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
    }
