"""One page that listens: what it has not been sent yet, bounded."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

from roost.errors import RoostError

FRAMES: Final = 64
"""Half a minute of a busy system. A page that is further behind does not read."""


Mark = tuple[str, int]
"""What a frame is of, and how far that goes: the figures of a time, the events up to a telling."""


class Reader:
    """The frames for one page."""

    def __init__(self) -> None:
        self._frames: deque[tuple[bytes, Mark | None]] = deque()
        self._seen: dict[str, int] = {}
        self._error: RoostError | None = None
        self._news = asyncio.Event()

    def begin(self, seen: Mapping[str, int]) -> None:
        """The page is sent this much at the beginning; nothing of it is sent again."""
        self._seen = dict(seen)
        self._frames = deque(each for each in self._frames if not self._knows(each[1]))

    def put(self, frame: bytes, mark: Mark | None = None) -> None:
        """Have it sent, unless the page knows it."""
        if self._error is not None or self._knows(mark):
            return
        if len(self._frames) >= FRAMES:
            self.end(RoostError("too_slow", "This page did not read what it was sent. Open it again."))
            return
        self._frames.append((frame, mark))
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
        frames = b"".join(frame for frame, _ in self._frames)
        self._frames.clear()
        return frames

    def _knows(self, mark: Mark | None) -> bool:
        return mark is not None and mark[1] <= self._seen.get(mark[0], 0)
