"""Keeps the key ring of a process as its file is: a rotation needs no restart."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from roost.errors import Unavailable
from roost.tasks import BackgroundTasks
from storage.keyring import KeyRing, KeyRingError

EVERY_S: Final = 1.0
"""Between two looks at the file's directory entry."""

_AFTER_FAILURE_S: Final = 10.0
_COMPARE_EVERY_S: Final = 60.0

Seen = Callable[[str, int], Awaitable[int]]
"""Notes the installation and serial of the ring that is used here; returns the newest serial that is used."""

log = structlog.get_logger()


class RingWatch:
    """Reads the ring again whenever its file is replaced, and says if other machines have a newer one.

    It begins at once, in the running event loop.

    Args:
        ring: The ring of this process.
        seen: Compares it with those of others.
        every_s: Between two looks.
    """

    def __init__(self, ring: KeyRing, seen: Seen, every_s: float = EVERY_S) -> None:
        self._ring, self._seen, self._every_s = ring, seen, every_s
        self._tasks = BackgroundTasks()
        self._tasks.spawn(self._watch(), "watch of the key ring", essential=True)
        self._tasks.spawn(self._compare(), "comparison of the key ring", essential=True)

    async def close(self) -> None:
        """Stop looking. Idempotent."""
        await self._tasks.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            if not self._ring.changed:
                continue
            try:
                # A thread: what gives the master key may take its time.
                await asyncio.to_thread(self._ring.reload)
            except KeyRingError as exc:
                log.error("key_ring_not_taken", reason=str(exc))  # noqa: TRY400 -- the sentence says it all
                await asyncio.sleep(_AFTER_FAILURE_S)
            else:
                log.info("key_ring_taken", serial=self._ring.secrets.serial)

    async def _compare(self) -> None:
        while True:
            content = self._ring.secrets
            try:
                newest = await self._seen(content.installation, content.serial)
            except Unavailable as exc:
                log.warning("key_ring_not_compared", reason=exc.detail)
            else:
                if newest > content.serial:
                    log.error("key_ring_behind", serial=content.serial, newest=newest)
            await asyncio.sleep(_COMPARE_EVERY_S)
