"""The log in memory: that of the deterministic runs, whose readers wait for what is appended."""

import asyncio

from sim.deterministic.logs import Log, PromptWriter, Reader
from storage.ports import LogRecord


class MemoryLog:
    """Both topics; of ``push`` nothing is kept, since no one reads it here.

    Args:
        shards: How many.
    """

    def __init__(self, shards: int) -> None:
        self._readers: list[_WaitingReader] = []
        self._log = Log(shards, self._appended, lambda _: None)

    def writer(self) -> PromptWriter:
        """Return what appends."""
        return PromptWriter(self._log)

    def reader(self) -> Reader:
        """Return a reader of ``mailbox``."""
        self._readers.append(_WaitingReader(self._log))
        return self._readers[-1]

    def _appended(self, _shard: int, _offset: int, _value: bytes) -> None:
        for each in self._readers:
            each.news.set()


class _WaitingReader(Reader):
    """A reader whose poll waits.

    Attributes:
        news: There may be something to read.
    """

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.news = asyncio.Event()

    async def poll(self, *, wait_ms: int, limit: int) -> dict[int, list[LogRecord]]:
        """Return what is there; wait for it if there is nothing."""
        self.limit = limit
        found = await super().poll(wait_ms=wait_ms, limit=limit)
        if found:
            return found
        self.news.clear()
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self.news.wait()
        except TimeoutError:
            return {}
        return await super().poll(wait_ms=wait_ms, limit=limit)
