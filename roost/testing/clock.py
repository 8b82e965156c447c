"""The clock of a world: that of the event loop and of every role and client in it, moved by hand.

It goes on by itself, as clocks do, so that what waits for a network or a file is not cut short; `advance`
moves it ahead, and every timer whose time has come meanwhile goes off, the first one first.
"""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

BEGINNING: Final = datetime(2027, 1, 15, 12, tzinfo=UTC)
"""When worlds begin, unless they are told otherwise."""

_SMALL_S: Final = 0.02
_BREATH_S: Final = 0.001
"""What is in other threads, such as a keystore's file, gets some time of its own."""

_STEPS: Final = 32
"""A way is gone in about so many steps: what comes round more often does so less often meanwhile."""

_SHORTEST_S: Final = 5.0
_LONGEST_S: Final = 600.0
"""Sessions are to renew their tokens in time."""

_TURNS: Final = 12
"""Turns of the event loop in which a few answers over loopback sockets have come."""


_TURNS_OF_A_STEP: Final = 30
"""Likewise of calls over new connections, such as those that renew tokens."""

_WELL_S: Final = 30.0


class FakeClock:
    """Moves the time of the running event loop.

    Args:
        beginning: What time it is at first.
    """

    def __init__(self, beginning: datetime) -> None:
        loop: Any = asyncio.get_running_loop()
        if not isinstance(loop, asyncio.BaseEventLoop):
            raise TypeError("a world needs an event loop of asyncio itself: uvloop keeps its own time")
        self._loop = loop
        self._real: Callable[[], float] = loop.time
        self._call_at: Callable[..., asyncio.TimerHandle] = loop.call_at
        self._submit: Callable[..., asyncio.Future[Any]] = loop.run_in_executor
        self._ahead_s = 0.0
        self._zero_s = self._real()
        self._beginning_ms = round(beginning.timestamp() * 1000)
        self._numbers = count()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._elsewhere: set[asyncio.Future[Any]] = set()

    def install(self) -> None:
        """Make this the time of the event loop."""
        vars(self._loop).update(time=self.time, call_at=self._timer, run_in_executor=self._thread)

    def remove(self) -> None:
        """Give the event loop its own time back; what is to go off later goes off that much later."""
        for name in ("time", "call_at", "run_in_executor"):
            del vars(self._loop)[name]

    def time(self) -> float:
        """Return the event loop's time, in seconds."""
        return self._real() + self._ahead_s

    def now_ms(self) -> int:
        """Return the time of day, in Unix milliseconds."""
        return self._beginning_ms + self.elapsed_ms()

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the beginning."""
        return round((self.time() - self._zero_s) * 1000)

    async def advance(self, seconds: float, well: Callable[[], bool]) -> None:
        """Move the time ahead, to one timer after the other that is not due just after the last one.

        Args:
            seconds: How far.
            well: Says whether everyone is connected. Connections prove each other alive now and then, and end
                with their tokens: time is given for it after each step.
        """
        until_s = self.time() + seconds
        step_s = min(max(seconds / _STEPS, _SHORTEST_S), _LONGEST_S)
        await self.settle()
        while (left_s := until_s - self.time()) > 0:
            due_s = self._next_due_s() - self.time()
            self._ahead_s += min(left_s, max(step_s, due_s))
            await self.settle(_TURNS_OF_A_STEP)
            await self.hurry(well, _WELL_S)

    async def hurry(self, done: Callable[[], bool], seconds: float, at_least_s: float = 0.0) -> None:
        """Let time pass in small steps until something is done.

        Args:
            done: Says whether it is.
            seconds: How much time may pass.
            at_least_s: So much of real time is given in any case, to what other threads and the kernel do.
        """
        until_s, really_until_s = self.time() + seconds, self._real() + at_least_s
        await self.settle()
        while not done():
            if self.time() < until_s:
                self._ahead_s += _SMALL_S
            elif self._real() > really_until_s:
                return
            await asyncio.sleep(_BREATH_S)
            await self.settle()

    async def settle(self, turns: int = _TURNS) -> None:
        """Let happen what needs no time."""
        for _ in range(turns):
            await asyncio.sleep(0)
            if self._elsewhere:
                await asyncio.wait(self._elsewhere)

    def _timer(self, when: float, callback: Any, *args: Any, **more: Any) -> asyncio.TimerHandle:
        handle = self._call_at(when, callback, *args, **more)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _next_due_s(self) -> float:
        while self._timers and (self._timers[0][2].cancelled() or self._timers[0][0] <= self.time()):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else float("inf")

    def _thread(self, *args: Any) -> "asyncio.Future[Any]":
        future = self._submit(*args)
        self._elsewhere.add(future)
        future.add_done_callback(self._elsewhere.discard)
        return future
