"""Turns at work that is scarce: whoever asks for many does not hold up whoever asks for one."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from roost.errors import Unavailable


class Turns:
    """Lets a few work at once.

    Whoever must wait stands in the line of its kind, and the lines take turns::

        alice's address   1 2 3 4 5 ...
        bob's address     6                 order: 1 6 2 3 4 5 ...

    Args:
        at_once: How many work at the same time.
        line: How many may wait in one line.
        total: How many may wait in all lines.
    """

    def __init__(self, at_once: int, *, line: int, total: int) -> None:
        self._free, self._line, self._total = at_once, line, total
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    @asynccontextmanager
    async def of(self, who: str) -> AsyncIterator[None]:
        """Work within this context, in one's turn.

        Raises:
            Unavailable: Too many wait already, in this line or in all.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(who)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, who: str) -> None:
        line = self._lines.get(who, ())
        if len(line) >= self._line or self._waiting >= self._total:
            raise Unavailable("Too many log-ins are in progress; try again in a moment.", retry_after_s=2.0)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(who, deque()).append(turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn had come
                self._next()
            raise
        finally:
            self._waiting -= 1

    def _next(self) -> None:
        """Give the turn to the first of the line that has waited longest for one."""
        while self._lines:
            who, line = self._lines.popitem(last=False)
            turn = line.popleft()
            if line:
                self._lines[who] = line
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
