"""How much memory a process has had."""

import resource
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


def peak_mb() -> float:
    """Return the most memory that this process has had, in MB.

    On Linux `getrusage` would begin with what the parent had when it started this process.
    """
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    [peak] = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024 / 1e6
