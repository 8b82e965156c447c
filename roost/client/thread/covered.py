"""The numbers that watermarks have covered, over all the logs that gave them."""

from collections.abc import Iterable
from typing import Final

JUMP: Final = 2**31
"""A seq this far beyond another was given by another log (``docs/architecture.md``).

A base rises by 2^32 beyond what was *stored*, so a number that was lost with the old log may be less
than 2^32 below one of the new log. No log holds anything near 2^31 records that are not stored.
"""


class Covered:
    """The numbers that a watermark has ever covered.

    Args:
        ranges: Of those before: above which number, and up to which.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self.ranges = list(ranges)

    def add(self, watermark: int) -> None:
        """Add what this watermark covers, 0 being none: it covers no number of a log before its own."""
        if not watermark:
            return
        above, upto, apart = watermark - JUMP, watermark, []
        for low, high in self.ranges:
            if low <= upto and above <= high:
                above, upto = min(low, above), max(high, upto)
            else:
                apart.append((low, high))
        self.ranges = [*apart, (above, upto)]

    def __contains__(self, seq: int) -> bool:
        return any(above < seq <= upto for above, upto in self.ranges)
