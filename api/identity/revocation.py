"""The set of ended sessions: local, updated through Redis, completed from MongoDB.

An access token outlives the session it was made for by at most its own lifetime, so the set
needs to hold only that much of the past.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from roost.clock import Clock
from roost.errors import RoostError
from storage.ports import Store


class Revocations:
    """The ended sessions whose access tokens may still be unexpired."""

    def __init__(self, store: Store, clock: Clock, kept_ms: int) -> None:
        self._store = store
        self._clock = clock
        self._kept_ms = kept_ms
        self._ended: dict[str, int] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._waiting: dict[str, set[asyncio.Timeout]] = {}

    def __len__(self) -> int:
        return len(self._ended)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(family)`` once for each session that ends from now on."""
        self._listeners.append(listener)

    def ended(self, family: str) -> bool:
        """Return whether the session was ended."""
        return family in self._ended

    def check(self, family: str) -> None:
        """Raise ``revoked`` if the session was ended."""
        if family in self._ended:
            raise RoostError("revoked", "The session of this access token has ended; log in again.")

    @asynccontextmanager
    async def unless_ended(self, family: str) -> AsyncIterator[None]:
        """Work within this context as long as the session lasts; raises ``revoked`` as soon as it ends."""
        self.check(family)
        try:
            async with asyncio.timeout(None) as cut_short:
                waiting = self._waiting.setdefault(family, set())
                waiting.add(cut_short)
                try:
                    yield
                finally:
                    waiting.discard(cut_short)
                    if not waiting:
                        self._waiting.pop(family, None)
        except TimeoutError:
            self.check(family)
            raise

    def add(self, family: str) -> None:
        """Take note of an ended session; idempotent."""
        if family in self._ended:
            return
        now = self._clock()
        self._forget(now - self._kept_ms)
        self._ended[family] = now
        for listener in self._listeners:
            listener(family)
        for cut_short in self._waiting.get(family, ()):
            cut_short.reschedule(0)

    async def reload(self) -> None:
        """Read the truth: after a (re)connection, and now and then while there is none."""
        since = self._clock() - self._kept_ms
        for family in await self._store.sessions.ended_since(since):
            self.add(family)
        self._forget(since)

    def _forget(self, since_ms: int) -> None:
        """Forget the sessions whose last access token has expired; they are in the order of their end."""
        while self._ended:
            family, at_ms = next(iter(self._ended.items()))
            if at_ms >= since_ms:
                return
            del self._ended[family]
