"""The line of events: what happened when, kept over restarts of the coordinator.

An event is told once it is stored, so that none that a page has shown is lost with the coordinator. While the
store is away that would hide what matters most just then: after a second an event is told as not stored, and
again once it is. What does not fit into memory until then is dropped, and how much that was is an event, too.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import structlog
from msgspec.structs import replace

from roost.clock import Clock
from roost.errors import Unavailable
from roost.tasks import insist
from storage import ports
from storage.event_records import Event, Kind, Level

LAST: Final = 200
"""So many are shown to a page when it is opened."""

MOST: Final = 10_000
KEEP_MS: Final = 90 * 86_400_000
"""So many are kept at most, and for so long."""

_UNSTORED_MAX: Final = 1_000
_TOLD_MAX: Final = 2 * LAST
_HIDDEN_S: Final = 1.0
_TRIM_EVERY_MS: Final = 3_600_000

log = structlog.get_logger()


class EventLine:
    """Numbers, stores and tells events.

    Args:
        store: Keeps them.
        clock: The time.

    Attributes:
        loaded: Set once what was stored before is known.
    """

    def __init__(self, store: ports.Events, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._waiting: deque[Event] = deque()
        self._told: deque[tuple[int, Event]] = deque(maxlen=_TOLD_MAX)
        self._tellings = itertools.count(1)
        self._last_n = 0
        self._dropped = 0
        self._trimmed_ms = 0
        self._news = asyncio.Event()
        self.loaded = asyncio.Event()

    def note(
        self,
        kind: Kind,
        subject: str,
        text: str,
        level: Level = "info",
        *,
        by: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Something happened just now."""
        now_ms = self._clock()
        self._last_n = max(self._last_n + 1, now_ms * 1000)
        if len(self._waiting) >= _UNSTORED_MAX:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(Event(self._last_n, now_ms, kind, subject, text, level, by, dict(more or {})))
        self._news.set()

    @property
    def told(self) -> int:
        """The number of the last telling."""
        return self._told[-1][0] if self._told else 0

    def after(self, telling: int) -> list[Event]:
        """Return what was told after that; an event that was stored meanwhile is there again."""
        return [event for number, event in self._told if number > telling]

    def last(self) -> list[Event]:
        """Return the newest ``LAST`` events, the oldest of them first."""
        newest = {event.n: event for _, event in self._told}
        return [newest[n] for n in sorted(newest)][-LAST:]

    async def run(self) -> None:
        """Store and tell, indefinitely."""
        await insist(self._load, "events_not_read")
        self.loaded.set()
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._keep(list(self._waiting))
            await self._trim()

    async def _load(self) -> None:
        """Tell what a coordinator before us stored."""
        with self._hidden():
            for event in reversed(await self._store.newest(LAST)):
                self._last_n = max(self._last_n, event.n)
                self._tell(event)

    @contextmanager
    def _hidden(self) -> Iterator[None]:
        """Tell what waits as not stored, should what is done here take long or fail."""
        hidden = asyncio.get_running_loop().call_later(_HIDDEN_S, self._tell_unstored)
        try:
            yield
        except Unavailable:
            self._tell_unstored()
            raise
        finally:
            hidden.cancel()

    async def _keep(self, batch: Sequence[Event]) -> None:
        async def keep() -> None:
            with self._hidden():
                await self._store.keep(batch)

        await insist(keep, "events_not_stored")
        last = batch[-1].n
        while self._waiting and self._waiting[0].n <= last:
            self._tell(replace(self._waiting.popleft(), stored=True))
        if self._dropped:
            count, self._dropped = self._dropped, 0
            text = f"{count} events were dropped while the store was away: there was no room for more."
            self.note("events_dropped", "events", text, "problem", more={"count": count})

    def _tell_unstored(self) -> None:
        for place, event in enumerate(self._waiting):
            if event.stored:
                self._waiting[place] = replace(event, stored=False)
                self._tell(self._waiting[place])

    def _tell(self, event: Event) -> None:
        self._told.append((next(self._tellings), event))

    async def _trim(self) -> None:
        now_ms = self._clock()
        if now_ms - self._trimmed_ms < _TRIM_EVERY_MS:
            return
        try:
            await self._store.trim(MOST, (now_ms - KEEP_MS) * 1000)
        except Unavailable as exc:
            log.info("events_not_trimmed", reason=exc.detail)
        else:
            self._trimmed_ms = now_ms
