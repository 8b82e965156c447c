"""The measure of one queue: how long a newcomer would wait. Pure."""

from typing import Final

LOOK_S: Final = 0.1
"""A rate is measured over at least this long."""

_SMOOTH_S: Final = 0.5
_FORGET_S: Final = 5.0


class Flow:
    """How long a newcomer to a queue would wait: what is ahead of it, divided by what leaves in a second.

    The rate is what left while the queue was never empty: what leaves an idle queue says how much came,
    and not how much could go. It says that so much *can* go, though: no rate is taken to be lower.

    A queue may stand still without being slow: the way to actors does while those are loaded, all at once.
    Such a pause says nothing of its rate, and is expected to last as long again as it has lasted::

        left in a tenth of a second      200   200     0     0     0     0     0  1,300
        rate, per second               2,000 2,000 2,000 2,000 2,000 2,000 2,000  2,167    1,300 in .6 s
        a newcomer behind 800 waits      .40   .40   .40   .40   .40   .40   .50    .37

    Where nothing is waited for, a pause is a lack of time, and counts as a rate of nothing.

    Args:
        assumed: Rate as long as none was measured.
        floor: As many may wait whatever the rate.
        pauses: It may stand still without being slow. The few that are ready may go first, so of its first
            two rates the better one counts.
    """

    __slots__ = (
        "_at_s",
        "_first",
        "_inside",
        "_left",
        "_measured_s",
        "_paused_s",
        "assumed",
        "floor",
        "pauses",
        "rate",
    )

    def __init__(self, assumed: float, floor: int, *, pauses: bool = False) -> None:
        self.assumed = assumed
        self.floor = floor
        self.pauses = pauses
        self.rate: float | None = None
        self._at_s = -1.0
        self._measured_s = 0.0
        self._paused_s = 0.0
        self._first: list[float] = []
        self._left = 0
        self._inside = 0

    def look(self, now_s: float, left: int, inside: int) -> None:
        """Measure.

        Args:
            now_s: The time.
            left: How many have left since ever.
            inside: How many wait.
        """
        seconds, done = now_s - self._at_s, left - self._left
        if self.pauses and self._at_s >= 0 and not done and inside and self._inside:
            # The next rate is measured over the pause as well.
            self._paused_s = seconds
            return
        if self._at_s < 0 or done < 0 or seconds > _FORGET_S:
            self.rate, self._first = None, []
        elif seconds < LOOK_S:
            return
        elif done or not inside or self._inside:  # else it began while no one looked
            self._measure(now_s, done, seconds, busy=0 < inside >= done <= self._inside)
        self._at_s, self._left, self._inside, self._paused_s = now_s, left, inside, 0.0

    def _measure(self, now_s: float, done: int, seconds: float, *, busy: bool) -> None:
        rate, known = done / seconds, self.assumed if self.rate is None else self.rate
        if rate > known:
            self.rate, self._measured_s = rate, now_s
        elif busy and self.rate is None and done and not self._paused_s:
            self._first.append(rate)
            if len(self._first) > self.pauses:
                self.rate, self._measured_s = max(self._first), now_s
        elif busy:
            # After a pause a few may be ready before the others are: the pause adds no weight.
            self.rate = known + (rate - known) * min(1.0, (seconds - self._paused_s) / _SMOOTH_S)
            self._measured_s = now_s
        elif now_s - self._measured_s > _FORGET_S:
            self.rate, self._first = None, []

    def wait_s(self, inside: int, floor: int | None = None) -> float:
        """Return how long a newcomer would wait behind so many; ``floor``: another than its own."""
        if inside <= (self.floor if floor is None else floor):
            return 0.0
        return max(self._paused_s, inside / max(1.0, self.assumed if self.rate is None else self.rate))
