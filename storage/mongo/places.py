"""Known positions and gaps of mailboxes, as far as this process has seen them. No I/O.

What is remembered spares queries and is never needed: without it a read looks for itself.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

_LOG_BITS: Final = 32
"""A log that is recreated is at least 2^32 numbers ahead, so each log has a highest number."""

_USERS: Final = 10_000

_BELIEVED_S: Final = 60.0
"""For so long a gap counts as one. A host that wrote of a log that was lost may have filled it since."""


class Places:
    """The highest numbers seen, and one gap of each user.

    Args:
        now_s: Seconds that only rise.
    """

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._tops: dict[int, int] = {}
        self._gaps: dict[str, tuple[int, int, float]] = {}

    def seen(self, numbers: Iterable[int]) -> None:
        """There are entries with these numbers."""
        for seq in numbers:
            number = seq >> _LOG_BITS
            if seq > self._tops.get(number, -1):
                self._tops[number] = seq

    def end_below(self, seq: int) -> int:
        """Return the end of the last log that ended up to ``seq``, 0 if none is known.

        Nothing is likely to be between the two, whoever's mailbox it is.
        """
        return max((top for top in self._tops.values() if top <= seq), default=0)

    def empty(self, user: str, low: int, high: int) -> None:
        """No bucket of the user ends within ``low < last <= high``, and hardly one ever will.

        What is inserted is newer than all that its user has, so a gap below an entry stays one; but for what
        another host still has of a log that was lost.
        """
        self._gaps.pop(user, None)
        self._gaps[user] = (low, high, self._now_s() + _BELIEVED_S)
        if len(self._gaps) > _USERS:
            del self._gaps[next(iter(self._gaps))]

    def skip(self, user: str, after: int) -> int:
        """Return how far above ``after`` no bucket of the user ends; ``after`` if that is not known."""
        low, high, until_s = self._gaps.get(user, (0, 0, 0.0))
        return high if low <= after < high and self._now_s() < until_s else after
