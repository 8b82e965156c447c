"""The clocks. Nothing else reads them: everything is handed a clock or a time."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns a time in milliseconds, Unix time unless it says otherwise."""


def now_ms() -> int:
    """Return the current Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def elapsed_ms() -> int:
    """Return the milliseconds since some moment in the past; on Linux the time asleep counts, too."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000
