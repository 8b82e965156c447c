"""The events on their way to the app, each with the ``seq`` that is taken once the app has it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial

from msgspec import Struct

from roost.client.events import Event


class _Given(Struct, eq=False):
    """An event that the app has not said to have yet."""

    seq: int
    taken: bool = False


class AppQueue:
    """Hands events to a callback, or queues them for ``events()``.

    Args:
        on_event: Called with each event, if given; when it returns, the event is taken.
        taken: Told the ``seq`` up to which the app has taken everything (0: nothing of the mailbox).
    """

    def __init__(self, on_event: Callable[[Event], None] | None, taken: Callable[[int], None]) -> None:
        self._on_event = on_event
        self._taken = taken
        self._queue: deque[tuple[Event | None, int]] = deque()
        self._given: deque[_Given] = deque()
        self._news = asyncio.Event()
        self._idle = True
        self._ended = False

    def put(self, event: Event | None, seq: int) -> None:
        """Hand on one event, or only the ``seq`` of an entry that the app is not told of."""
        if self._on_event is not None:
            if event is not None:
                self._on_event(event)
            self._taken(seq)
        elif event is None and not self._queue and not self._given and self._idle:
            self._taken(seq)
        else:
            self._queue.append((event, seq))
            self._news.set()

    def end(self) -> None:
        """Let ``events()`` return once the queue is empty."""
        self._ended = True
        self._news.set()

    async def events(self) -> AsyncIterator[Event]:
        """Yield events until the end; one counts as taken when the next is asked for."""
        while True:
            self._idle = False
            while self._queue:
                event, seq = self._queue.popleft()
                if event is not None:
                    yield event
                self._taken(seq)
            self._idle = True
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()

    async def pending(self) -> AsyncIterator[tuple[Event, Callable[[], None]]]:
        """Yield events until the end, each with what says that the app has it, in any order.

        One counts as taken when it and all before are.
        """
        while True:
            self._idle = False
            while self._queue:
                event, seq = self._queue.popleft()
                given = _Given(seq)
                self._given.append(given)
                taken = partial(self._take, given)
                if event is None:
                    taken()
                else:
                    yield event, taken
            self._idle = True
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()

    def _take(self, given: _Given) -> None:
        given.taken = True
        while self._given and self._given[0].taken:
            self._taken(self._given.popleft().seq)
