"""The times at which actors want to look at the clock."""

import asyncio
import heapq

from actors.host.users.residents import Residents
from actors.user import events as ev
from roost.clock import Clock


class Deadlines:
    """Wakes actors in time."""

    def __init__(self, residents: Residents, clock: Clock) -> None:
        self._residents, self._clock = residents, clock
        self._times: list[tuple[int, str]] = []
        self._now = clock()
        self._added = asyncio.Event()

    def add(self, at_ms: int, user: str) -> None:
        """Wake the user's actor at this time, if it is here then."""
        self._passed()
        heapq.heappush(self._times, (at_ms, user))
        self._added.set()

    async def run(self) -> None:
        """Keep the deadlines."""
        while True:
            now = self._passed()
            while self._times and self._times[0][0] <= now:
                _, user = heapq.heappop(self._times)
                if self._residents.get(user) is not None:
                    self._residents.post(user, ev.TimePassed())
            self._added.clear()
            delay = max((self._times[0][0] - now) / 1000, 0.001) if self._times else 3600.0
            try:
                async with asyncio.timeout(delay):
                    await self._added.wait()
            except TimeoutError:
                continue

    def _passed(self) -> int:
        """Return the time; where the clock was set back, what is pending comes forward by as much."""
        before, self._now = self._now, self._clock()
        if (back := before - self._now) > 0:
            self._times = [(at_ms - back, user) for at_ms, user in self._times]
        return self._now
