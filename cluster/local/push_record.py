"""What the embedded push endpoint has received, and how it is told to answer."""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from roost.clock import Clock

KEPT: Final = 100_000
MODES: Final = ("ok", "unregistered", "quota", "unavailable", "slow")

_SLOW_S: Final = 3.0


class Received:
    """The pushes, newest last.

    Args:
        clock: Stamps them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pushes: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0

    def add(self, token: str, message: Any) -> None:
        """Keep one."""
        self._count += 1
        self._pushes.append({"token": token, "message": message, "at_ms": self._clock()})

    def after(self, count: int) -> Sequence[dict[str, Any]]:
        """Return all but the first ones."""
        gone = self._count - len(self._pushes)
        return list(islice(self._pushes, max(0, count - gone), None))


class Behaviour:
    """How it answers.

    Attributes:
        mode: One of `MODES`.
        retry_after_s: What a refusal advises, and how long ``slow`` takes; None: as is usual.
    """

    def __init__(self) -> None:
        self.mode = "ok"
        self.retry_after_s: float | None = None

    @property
    def retry_after(self) -> dict[str, str]:
        """The header of a refusal."""
        wait_s = self.retry_after_s
        return {} if wait_s is None else {"Retry-After": str(max(1, round(wait_s)))}

    async def take_time(self) -> None:
        """Wait, if it is slow."""
        if self.mode == "slow":
            await asyncio.sleep(_SLOW_S if self.retry_after_s is None else self.retry_after_s)
