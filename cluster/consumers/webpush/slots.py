"""How many pushes are on their way at once: altogether, and to one host, which may be slow on purpose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Slots:
    """Bounds of pushes.

    Args:
        total: At most so many at once.
        each: At most so many of them to one host: those that wait for it take no one else's place.
    """

    def __init__(self, total: int, each: int) -> None:
        self._total, self._each = asyncio.Semaphore(total), each
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, host: str) -> AsyncIterator[None]:
        """Wait for a place."""
        mine = self._hosts.get(host)
        if mine is None:
            mine = self._hosts[host] = asyncio.Semaphore(self._each)
        async with mine, self._total:
            yield
