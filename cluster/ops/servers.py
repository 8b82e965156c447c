"""What the embedded servers use: they tell nothing themselves, and run on the coordinator's machine."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER, _RESIDENT = 11, 21
"""Places in ``/proc/PID/stat``, counted behind the command's name."""


class ServerFigures:
    """Reads them, and takes the difference of processor time.

    Args:
        now: Seconds, from a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._before: dict[int, tuple[float, float]] = {}

    def read(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
        """Return cores and bytes of each that can be read, by name.

        Args:
            rows: The servers, as in ``roost status``.
        """
        found: dict[str, dict[str, float | None]] = {}
        before, self._before = self._before, {}
        for row in rows:
            pid = row.get("pid")
            if pid is None or (read := _read(pid)) is None:
                continue
            cpu_s, memory = read
            self._before[pid] = now_s, _ = self._now(), cpu_s
            then = before.get(pid)
            cpu = (cpu_s - then[1]) / (now_s - then[0]) if then and now_s > then[0] else None
            found[row["name"]] = {"cpu": cpu, "memory_bytes": memory}
        return found


def _read(pid: int) -> tuple[float, int] | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return None  # it ended, or is another user's
    ticks = int(fields[_USER]) + int(fields[_USER + 1])
    return ticks / _TICKS, int(fields[_RESIDENT]) * _PAGE
