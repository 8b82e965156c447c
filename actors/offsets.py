"""Offsets of a shard whose records are fully stored. Pure."""


class Offsets:
    """The records of one shard between "handed to an actor" and "everything it caused is stored".

    Each record is begun once, in offset order, and is finished when as many `done` have come as
    `hold` and `begin` together. Everything below `stored` is finished.

    Attributes:
        following: The next offset to be begun.
    """

    def __init__(self, start: int) -> None:
        self.following = start
        self._open: dict[int, int] = {}  # offset -> outstanding; dicts keep the order of begin()

    @property
    def stored(self) -> int:
        """The lowest offset that is not finished: what the router may commit."""
        return next(iter(self._open), self.following)

    def begin(self, offset: int) -> None:
        """Take the next record, with one outstanding piece of work: the handling itself."""
        self._open[offset] = 1
        self.following = offset + 1

    def hold(self, offset: int) -> None:
        """Add a piece of work to a record."""
        self._open[offset] += 1

    def done(self, offset: int) -> bool:
        """Finish a piece of work; returns whether `stored` may have moved."""
        left = self._open[offset] - 1
        if left:
            self._open[offset] = left
            return False
        first = next(iter(self._open)) == offset
        del self._open[offset]
        return first
