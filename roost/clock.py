"""The wall clock. Nothing else reads it: everything is handed a clock or a time."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns Unix time in milliseconds."""


def now_ms() -> int:
    """Return the current Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
