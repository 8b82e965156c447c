"""Media of a gateway: the store, and how many files are on their way at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from msgspec import Struct

from roost.errors import RoostError
from storage.blobs import BlobStore

_RETRY_S = 2.0

Direction = Literal["upload", "download"]


class TransferLimits(Struct, frozen=True):
    """How slow a file may be.

    Attributes:
        pause_s: Longest time without a byte, either way.
        grace_s: Time that a file may take beside that of its bytes.
        bytes_per_s: Slowest pace, over all of it.
    """

    pause_s: float = 30.0
    grace_s: float = 20.0
    bytes_per_s: int = 1_000

    def left_s(self, size: int, spent_s: float) -> float:
        """Return how long the next bytes may take."""
        return min(self.pause_s, self.grace_s + size / self.bytes_per_s - spent_s)


class MediaLimits(Struct, frozen=True):
    """How many files may be on their way, in each direction.

    Attributes:
        at_once: Of this gateway.
        of_user: Of one user.
        pace: How slow each may be.
    """

    at_once: int = 100
    of_user: int = 6
    pace: TransferLimits = TransferLimits()


class Media:
    """The store, and the files on their way.

    Attributes:
        blobs: The store.
        limits: How many, and how slow.
    """

    def __init__(self, blobs: BlobStore, limits: MediaLimits) -> None:
        self.blobs, self.limits = blobs, limits
        self._by_user: Counter[tuple[Direction, str]] = Counter()
        self._all: Counter[Direction] = Counter()

    @contextmanager
    def transfer(self, direction: Direction, user: str) -> Iterator[None]:
        """Count a file while it is on its way.

        Raises:
            RoostError: ``rate_limited``, or ``unavailable`` if it is not the user's own fault.
        """
        if self._by_user[direction, user] >= self.limits.of_user:
            raise RoostError(
                "rate_limited",
                f"At most {self.limits.of_user} {direction}s of one user run at once: wait until one ends.",
                retry_after_s=_RETRY_S,
            )
        if self._all[direction] >= self.limits.at_once:
            raise RoostError(
                "unavailable", f"Too many {direction}s run at once here.", retry_after_s=_RETRY_S
            )
        self._by_user[direction, user] += 1
        self._all[direction] += 1
        try:
            yield
        finally:
            self._all[direction] -= 1
            self._by_user[direction, user] -= 1
            self._by_user += Counter()  # drops what is zero
