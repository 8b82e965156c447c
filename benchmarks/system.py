"""A whole embedded system as a child process, and what its processes cost."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil

from cluster.outcome import bound_s


class System:
    """A running Roost."""

    def __init__(self, ready: dict[str, Any], process: asyncio.subprocess.Process) -> None:
        self.ready = ready
        self.http: str = ready["http"]
        self.data: str = ready["data"]
        self.process = process

    async def roles(self) -> dict[str, list[int]]:
        """Return the process ids by role, as ``roost status --json`` says."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "roost", "status", "--json", "--data", self.data,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await child.communicate()
        found: dict[str, list[int]] = defaultdict(list)
        for role in json.loads(out)["roles"]:
            if role.get("pid"):
                found[role["role"]].append(role["pid"])
        return dict(found)

    def everything(self) -> list[int]:
        """Return every process of the system, Ray's daemons included."""
        parent = psutil.Process(self.process.pid)
        return [parent.pid, *(child.pid for child in parent.children(recursive=True))]


@asynccontextmanager
async def embedded(*options: str, **settings: str) -> AsyncIterator[System]:
    """Run ``roost up --json`` on a free port and a folder of its own, with these variables set."""
    with tempfile.TemporaryDirectory(prefix="roost-bench-") as folder:
        command = [sys.executable, "-m", "roost", "up", "--json", "--port", "0", "--data", f"{folder}/data"]
        process = await asyncio.create_subprocess_exec(
            *command,
            *options,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | settings,  # noqa: TID251 -- the child's
        )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), 90)
            if not line:
                raise RuntimeError("roost up ended before it was ready; see its messages above")
            yield System(json.loads(line), process)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                status = await asyncio.wait_for(process.wait(), bound_s(kept=False) + 60)
                if status:
                    raise RuntimeError(f"roost up ended with {status}: see its messages above")


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time used so far by these processes."""
    total = 0.0
    for pid in pids:
        times = psutil.Process(pid).cpu_times()
        total += times.user + times.system
    return total


def memory_mb(pids: list[int]) -> float:
    """Return the private memory (USS) of these processes in MB."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in pids) / 1e6


def environment() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "load_before": round(os.getloadavg()[0], 2),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
    }
