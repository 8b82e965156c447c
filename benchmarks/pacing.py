"""The times at which messages of a fixed rate are due: pure.

An open loop: a message is due at its time whatever became of those before it, and its latency counts
from then. A generator that was held up sends what it owes at once and hides nothing of the delay.
"""

from msgspec import Struct

_S = 1_000_000_000


class Pace(Struct, frozen=True):
    """So many messages a second for so long, evenly spaced.

    Attributes:
        begin_ns: When the first one is due.
        rate: Messages a second, above 0.
        seconds: How long.
    """

    begin_ns: int
    rate: float
    seconds: float

    @property
    def count(self) -> int:
        """Messages in all."""
        return round(self.rate * self.seconds)

    @property
    def end_ns(self) -> int:
        """When the pace is over."""
        return self.begin_ns + round(self.seconds * _S)

    def due_ns(self, number: int) -> int:
        """Return when a message is due."""
        return self.begin_ns + round(number * _S / self.rate)

    def owed(self, now_ns: int) -> int:
        """Return how many were due by now, in all."""
        if now_ns < self.begin_ns:
            return 0
        reached = int((now_ns - self.begin_ns) * self.rate / _S) + 1
        # The division may be off by a rounding: `due_ns` decides.
        while reached and self.due_ns(reached - 1) > now_ns:
            reached -= 1
        while self.due_ns(reached) <= now_ns:
            reached += 1
        return min(reached, self.count)

    def wait_s(self, number: int, now_ns: int) -> float:
        """Return how long to wait for a message, 0 if it is due."""
        return max(0, self.due_ns(number) - now_ns) / _S


def ring(people: int, contacts: int) -> list[tuple[int, int]]:
    """Return who writes to whom when everyone has so many contacts, who write back.

    People stand in a circle, and the contacts are the nearest on both sides; with an odd number of
    contacts the last is the one opposite, which needs an even number of people.

    Raises:
        ValueError: There are not enough people, or such a circle does not exist.
    """
    if contacts >= people or (contacts % 2 and people % 2):
        raise ValueError(f"{people} people cannot have {contacts} contacts each who write back")
    steps = [*range(1, contacts // 2 + 1), *range(-1, -(contacts // 2) - 1, -1)]
    if contacts % 2:
        steps.append(people // 2)
    return [(one, (one + step) % people) for one in range(people) for step in steps]


def everyone(people: int) -> list[tuple[int, int]]:
    """Return who writes to whom when everyone writes to everyone."""
    return [(one, other) for one in range(people) for other in range(people) if one != other]
