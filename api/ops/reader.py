"""One page that listens: what it has not been sent yet, bounded."""

import asyncio
from collections import deque
from typing import Final

from roost.errors import RoostError

FRAMES: Final = 64
"""Half a minute of a busy system. A page that is further behind does not read."""


class Reader:
    """The frames for one page.

    Attributes:
        figures_ms: It has been sent the figures up to then.
        told: It has been sent the events up to this telling.
    """

    def __init__(self) -> None:
        self.figures_ms = self.told = 0
        self._frames: deque[bytes] = deque()
        self._error: RoostError | None = None
        self._news = asyncio.Event()

    def put(self, frame: bytes) -> None:
        """Have it sent."""
        if self._error is not None:
            return
        if len(self._frames) >= FRAMES:
            self.end(RoostError("too_slow", "This page did not read what it was sent. Open it again."))
            return
        self._frames.append(frame)
        self._news.set()

    def end(self, error: RoostError) -> None:
        """Send nothing more but why."""
        if self._error is None:
            self._error = error
            self._frames.clear()
            self._news.set()

    async def next(self, within_s: float) -> bytes:
        """Return what is to be sent next, all of it; nothing if there is nothing for so long.

        Raises:
            RoostError: It has ended.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return b""
        if self._error is not None:
            raise self._error
        self._news.clear()
        frames = b"".join(self._frames)
        self._frames.clear()
        return frames
