"""A process's figures for the operators' dashboard: they ride on the heartbeat that is made anyway.

Everything is counted elsewhere (`telemetry.metrics`, the gateway's parts, the kernel) and only read here, in
some 100 microseconds. Counts rise as long as the process lives; who collects them takes differences.
"""

import os
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from prometheus_client import Counter, Histogram

from telemetry import metrics as m

KEY: Final = "ops"
"""Name of `RoleFigures` among the figures of a role's status."""

COUNTS: Final = "counts"
LEVELS: Final = "levels"
"""Names under which a role gives its own counts and levels in its status."""

_MACHINE_EVERY_S: Final = 2.0
_BEGAN_S: Final = time.monotonic()
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_OPEN_FILES: Final = Path("/proc/self/fd")


class MachineFigures(Struct, frozen=True):
    """Of the machine that a process is on.

    Attributes:
        cpu: Cores in use since the last look, by whatever runs there; None at the first.
        cpus: Cores.
        memory_bytes: Memory that is not available.
        memory_total_bytes: All memory.
        disk_free_bytes: Free for us where the data folder is.
        disk_total_bytes: All of that file system.
    """

    cpu: float | None
    cpus: float
    memory_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int


class RoleFigures(Struct, frozen=True):
    """Of a process.

    Attributes:
        at_s: When they were read, by a clock that never goes back.
        cpu_s: Processor time since it began, in seconds.
        memory_bytes: Resident.
        fds: Open files, sockets among them.
        fds_most: So many it may have.
        counts: What only rises.
        levels: What is now.
        times: Observations in each bucket of `BOUNDS`, by the name there; they only rise.
        up_s: Seconds since this module was loaded, which is early in a process.
        machine: None if a role there told it a moment ago.
    """

    at_s: float
    cpu_s: float
    memory_bytes: int
    fds: int
    fds_most: int
    counts: dict[str, float] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)
    times: dict[str, list[int]] = field(default_factory=dict)
    up_s: float = 0.0
    machine: MachineFigures | None = None


_TIMES: Final[Mapping[str, Mapping[str, Histogram]]] = {
    "gateway": {"accept": m.ACCEPT_SECONDS},
    "host": {"deliver": m.DELIVERY_SECONDS.labels("message"), "store": m.STORE_WRITE_SECONDS},
    "pusher": {"wake": m.WAKEUP_SECONDS},
}
_COUNTS: Final[Mapping[str, Mapping[str, Counter]]] = {
    "host": {
        "poison": m.POISON_RECORDS,
        "redelivery_loops": m.REDELIVERY_LOOPS,
        "missed": m.MISSED_ENTRIES,
    },
    "pusher": {
        f"push.{outcome}": m.WAKEUPS.labels(outcome)
        for outcome in ("sent", "pending", "came", "no_token", "unregistered", "dead")
    },
    "coordinator": {
        "log_lost": m.LOG_RECREATIONS.labels("lost"),
        "log_renewed": m.LOG_RECREATIONS.labels("full"),
        "log_dropped": m.LOG_DROPPED_RECORDS,
    },
}

# The library offers what it counts as text or as samples, which takes 30 times as long as reading it.


def _bounds(histogram: Histogram) -> tuple[float, ...]:
    return tuple(histogram._upper_bounds)  # noqa: SLF001 -- see above


def _buckets(histogram: Histogram) -> list[int]:
    return [int(bucket.get()) for bucket in histogram._buckets]  # noqa: SLF001 -- see above


def _sum(histogram: Histogram) -> float:
    return float(histogram._sum.get())  # noqa: SLF001 -- see above


def _value(counter: Counter) -> float:
    return float(counter._value.get())  # noqa: SLF001 -- see above


BOUNDS: Final[Mapping[str, tuple[float, ...]]] = {
    name: _bounds(each) for of in _TIMES.values() for name, each in of.items()
}
"""Upper bounds in seconds of the buckets of `RoleFigures.times`; the last is infinite."""


class Reader:
    """Reads the figures of this process.

    Args:
        role: Which role it is.
        data: A folder on the file system whose space counts.
        now: Seconds, from a clock that never goes back.
    """

    def __init__(self, role: str, data: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._times, self._counts = _TIMES.get(role, {}), _COUNTS.get(role, {})
        self._stores = role == "host"
        self._machine = _Machine(data)
        self._now, self._machine_at_s = now, float("-inf")

    def read(self, counts: Mapping[str, float], levels: Mapping[str, float]) -> RoleFigures:
        """Return them.

        Args:
            counts: Those that the role keeps itself.
            levels: Likewise.
        """
        at_s = self._now()
        counted = {name: _value(each) for name, each in self._counts.items()}
        if self._stores:
            counted["delivered"] = sum(_buckets(self._times["deliver"]))
            counted["stored"] = _sum(m.STORE_BATCH_DOCUMENTS)
        machine = None
        if at_s - self._machine_at_s >= _MACHINE_EVERY_S:
            machine = self._machine.read(at_s - self._machine_at_s)
            self._machine_at_s = at_s
        return RoleFigures(
            at_s=at_s,
            cpu_s=time.process_time(),
            memory_bytes=int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE,
            # Since Linux 6.2 the size is the number of descriptors; before, it is 0.
            fds=_OPEN_FILES.stat().st_size or sum(1 for _ in _OPEN_FILES.iterdir()),
            fds_most=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            counts=counted | dict(counts),
            levels=dict(levels),
            times={name: _buckets(each) for name, each in self._times.items()},
            up_s=round(time.monotonic() - _BEGAN_S, 1),
            machine=machine,
        )


class _Machine:
    def __init__(self, data: Path) -> None:
        self._data = data
        self._busy_s: float | None = None

    def read(self, elapsed_s: float) -> MachineFigures:
        cpu = Path("/proc/stat").read_text("ascii").split(None, 9)[1:9]
        user, nice, system, _idle, _iowait, *interrupts = (int(ticks) / _TICKS for ticks in cpu)
        busy_s = user + nice + system + sum(interrupts)
        before, self._busy_s = self._busy_s, busy_s
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()[:3]
        total, _free, available = (int(line.split()[1]) * 1024 for line in lines)
        disk = os.statvfs(next(each for each in (self._data, *self._data.parents) if each.exists()))
        return MachineFigures(
            cpu=None if before is None else round(max(0.0, busy_s - before) / elapsed_s, 3),
            cpus=float(os.cpu_count() or 1),
            memory_bytes=total - available,
            memory_total_bytes=total,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            disk_total_bytes=disk.f_blocks * disk.f_frsize,
        )
