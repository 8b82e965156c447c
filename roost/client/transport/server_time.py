"""The time on the server's clock, which message ids are made with."""

from roost.clock import Clock

_DATE_MS = 2_000
"""A ``Date`` header says only seconds: below this difference it tells nothing new."""

_JUMP_MS = 1_000


class ServerTime:
    """What the server said last, and what has passed since on a clock that no one sets.

    Args:
        wall: This machine's clock, which its user may set at any time.
        elapsed: Milliseconds since some moment in the past.
    """

    def __init__(self, wall: Clock, elapsed: Clock) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._zero_ms = self._machine_ms = wall() - elapsed()

    @property
    def offset_ms(self) -> int:
        """The server's clock minus this machine's."""
        return self.now_ms() - self._wall()

    def now_ms(self) -> int:
        """Return the server's time, as far as it is known."""
        return self._zero_ms + self._elapsed()

    def assume(self, offset_ms: int) -> None:
        """Begin with what an earlier run knew, until the server says something."""
        self._zero_ms = self._machine_ms + offset_ms

    def learn(self, server_time_ms: int) -> None:
        """Take over what the server just said."""
        self._zero_ms = server_time_ms - self._elapsed()

    def learn_date(self, date_ms: int) -> None:
        """Take over the ``Date`` of an answer, if it says anything new."""
        if abs(date_ms + 500 - self.now_ms()) > _DATE_MS:
            self.learn(date_ms + 500)

    def jumped(self) -> bool:
        """Return whether this machine's clock was set, or the machine slept, since this was last asked."""
        before, self._machine_ms = self._machine_ms, self._wall() - self._elapsed()
        return abs(self._machine_ms - before) > _JUMP_MS
