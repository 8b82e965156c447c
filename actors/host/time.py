"""Time at a host: the deadlines that actors named, and the actors that nobody needs any more."""

import asyncio
import heapq

from actors.host.state import HostState, Resident
from actors.user import events as ev
from telemetry import metrics


class Time(HostState):
    """Keeps deadlines, and lets idle actors go."""

    async def _keep_time(self) -> None:
        while True:
            now = self._clock()
            while self._timers and self._timers[0][0] <= now:
                _, user = heapq.heappop(self._timers)
                if user in self._residents:
                    self._post(user, ev.TimePassed())
            self._timer_set.clear()
            delay = max((self._timers[0][0] - now) / 1000, 0.001) if self._timers else 3600.0
            try:
                async with asyncio.timeout(delay):
                    await self._timer_set.wait()
            except TimeoutError:
                continue

    async def _passivate(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_every_s)
            limit = self._clock() - self._settings.idle_ms
            snapshots: dict[str, ev.Loaded] = {}
            for user, resident in list(self._residents.items()):
                self._retire(user, resident, limit, snapshots)
            if snapshots:
                metrics.PASSIVATIONS.inc(len(snapshots))
                await self._activation.put(snapshots)

    def _retire(self, user: str, resident: Resident, limit: int, snapshots: dict[str, ev.Loaded]) -> None:
        actor = resident.actor
        if actor is None or resident.waiting or resident.inbox or resident.touched_ms > limit:
            return
        actor.release(resident.shard.stored_seq)
        if actor.idle:
            snapshots[user] = actor.snapshot()
            del self._residents[user]
