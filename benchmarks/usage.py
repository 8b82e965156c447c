"""The cost of processes: CPU and memory by role, also of processes that come and go meanwhile."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import psutil
from msgspec import Struct

OTHERS = "others"
"""Processes of the system that play no role: the parent, Ray's own, spares."""

CLIENT = "client"
"""This process: the load generator."""

_SAMPLE_S = 0.5

Finder = Callable[[], Awaitable[Mapping[int, str]]]
"""Returns the role of each process id."""


class Cost(Struct, frozen=True):
    """What was used in a span.

    Attributes:
        seconds: Its length.
        cpu_s: CPU time by role.
        rss_mb: Highest resident memory by role, all its processes together.
        pss_mb: Proportional memory at the end of the span, likewise: a page that three processes share counts
            a third in each, so that the sum is what the system takes.
    """

    seconds: float
    cpu_s: dict[str, float]
    rss_mb: dict[str, float]
    pss_mb: dict[str, float]

    def servers_s(self) -> float:
        """Return the CPU time of everything but the load generator."""
        return sum(spent for role, spent in self.cpu_s.items() if role != CLIENT)

    def figures(self, messages: int) -> dict[str, object]:
        """Return the figures, ready for JSON; CPU in cores, and for each message if there were any."""
        servers_s = self.servers_s()
        found: dict[str, object] = {
            "cores": {role: round(spent / self.seconds, 4) for role, spent in sorted(self.cpu_s.items())},
            "cores_of_servers": round(servers_s / self.seconds, 4),
            "rss_mb": {role: round(mb) for role, mb in sorted(self.rss_mb.items())},
            "rss_mb_of_servers": round(sum(mb for role, mb in self.rss_mb.items() if role != CLIENT)),
            "pss_mb": {role: round(mb) for role, mb in sorted(self.pss_mb.items())},
            "pss_mb_of_servers": round(sum(mb for role, mb in self.pss_mb.items() if role != CLIENT)),
        }
        if messages:
            found["cpu_us"] = {role: round(1e6 * s / messages) for role, s in sorted(self.cpu_s.items())}
            found["cpu_us_of_servers"] = round(1e6 * servers_s / messages)
        return found


class Usage:
    """Watches the processes of a system.

    Args:
        find: Says which processes there are. Asking costs a second of CPU: not while something is measured.
    """

    def __init__(self, find: Finder) -> None:
        self._find = find
        self._own = psutil.Process()
        self._processes: dict[int, tuple[str, psutil.Process]] = {}
        self._cpu_s: dict[int, tuple[str, float]] = {}
        self._peaks: dict[str, float] = defaultdict(float)
        self._began: tuple[float, dict[str, float]] = (0.0, {})

    def begin(self) -> None:
        """Begin a span."""
        self._peaks.clear()
        self._began = self._sample()

    async def watch(self) -> None:
        """Sample until cancelled, so that peaks of memory, and what dead processes had used, are known."""
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self._sample()

    def end(self) -> Cost:
        """End the span."""
        began_s, before = self._began
        now_s, after = self._sample()
        used = {role: spent - before.get(role, 0.0) for role, spent in after.items()}
        return Cost(now_s - began_s, used, dict(self._peaks), self._proportional())

    async def discover(self) -> None:
        """Ask which processes there are now."""
        for pid, role in (await self._find()).items():
            known = self._processes.get(pid)
            if known is None or known[0] != role or not known[1].is_running():
                try:
                    self._processes[pid] = (role, psutil.Process(pid))
                except psutil.NoSuchProcess:
                    continue

    def _proportional(self) -> dict[str, float]:
        """Return the proportional memory by role. It takes each process milliseconds: not within a span."""
        memory: dict[str, float] = defaultdict(float)
        for role, process in (*self._processes.values(), (CLIENT, self._own)):
            with suppress(psutil.NoSuchProcess):
                memory[role] += process.memory_full_info().pss / 1e6
        return dict(memory)

    def _sample(self) -> tuple[float, dict[str, float]]:
        memory: dict[str, float] = defaultdict(float)
        for pid, (role, process) in list(self._processes.items()):
            try:
                with process.oneshot():
                    times, rss = process.cpu_times(), process.memory_info().rss
            except psutil.NoSuchProcess:
                # What it had used by the last sample stays in the sum.
                del self._processes[pid]
                continue
            self._cpu_s[pid] = (role, times.user + times.system)
            memory[role] += rss / 1e6
        total: dict[str, float] = defaultdict(float)
        for role, spent in self._cpu_s.values():
            total[role] += spent
        total[CLIENT] = time.process_time()
        memory[CLIENT] = self._own.memory_info().rss / 1e6
        for role, mb in memory.items():
            self._peaks[role] = max(self._peaks[role], mb)
        return time.perf_counter(), dict(total)
