"""The backlog of a shard: records that came to its host and are not handled, or not stored. Pure."""

from collections import deque
from typing import NamedTuple


class _Batch(NamedTuple):
    end: int
    size: int
    at_ms: int


class Backlog:
    """The batches of one shard that are not wholly stored.

    Attributes:
        unhandled: Records that no actor has handled.
        size: Bytes of the batches that are not wholly stored.
    """

    __slots__ = ("_batches", "size", "unhandled")

    def __init__(self) -> None:
        self.unhandled = 0
        self.size = 0
        self._batches: deque[_Batch] = deque()

    def took(self, end: int, size: int, now_ms: int) -> None:
        """A batch came.

        Args:
            end: The offset after its last record.
            size: Its bytes.
            now_ms: The time.
        """
        self.size += size
        self._batches.append(_Batch(end, size, now_ms))

    def stored(self, offset: int) -> None:
        """Everything below the offset is stored."""
        while self._batches and self._batches[0].end <= offset:
            self.size -= self._batches.popleft().size

    def age_ms(self, now_ms: int) -> int:
        """Return how long ago the oldest batch came that is not wholly stored, 0 if there is none."""
        return max(0, now_ms - self._batches[0].at_ms) if self._batches else 0
