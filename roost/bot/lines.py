"""One line of messages for each peer, which a task of its own serves while there is something in it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from roost.client import MessageReceived

IN_HAND: Final = 256
"""Messages in all lines together. The server sends no more before the oldest is acknowledged, either."""


class _Waiting(Struct):
    event: MessageReceived
    taken: Callable[[], None]


class Lines:
    """Messages on their way through the bot.

    Args:
        work: Handles one message. If it raises, the bot cannot go on: the message is not acknowledged.
        at_once: So many messages are handled at the same time.
        in_hand: So many may be in all lines together.
    """

    def __init__(
        self, work: Callable[[MessageReceived], Awaitable[None]], at_once: int, in_hand: int = IN_HAND
    ) -> None:
        self._work = work
        self._lines: dict[str, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(in_hand)
        self._at_once = asyncio.Semaphore(at_once)
        self._ending = False
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def put(self, event: MessageReceived, taken: Callable[[], None]) -> None:
        """Put a message behind those of its peer; wait while there are too many in all."""
        await self._places.acquire()
        line = self._lines.get(event.peer)
        if line is None:
            line = self._lines[event.peer] = deque()
            task = asyncio.create_task(self._serve(event.peer, line))
            self._tasks.add(task)
            task.add_done_callback(self._served)
        line.append(_Waiting(event, taken))

    async def finish(self, within_s: float) -> None:
        """Let the handlers that have begun end, for so long; what waits behind them comes again."""
        self._ending = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, peer: str, line: deque[_Waiting]) -> None:
        while line:
            async with self._at_once:
                if self._ending:
                    return
                await self._work(line[0].event)
            line.popleft().taken()
            self._places.release()
        del self._lines[peer]

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None and not self.broken.done():
            self.broken.set_exception(failure)
