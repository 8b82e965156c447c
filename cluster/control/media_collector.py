"""The collector of media: removes files and unfinished uploads whose time is over, and what a crash left.

The coordinator runs it, of which there is one. It is harmless twice.
"""

import asyncio
from typing import Final

import structlog

from roost.errors import Unavailable
from storage.blobs import BlobStore

_EVERY_S: Final = 60.0

log = structlog.get_logger()


class MediaCollector:
    """Collects, again and again."""

    def __init__(self, blobs: BlobStore, every_s: float = _EVERY_S) -> None:
        self._blobs, self._every_s = blobs, every_s

    async def run(self) -> None:
        """Collect until cancelled; what cannot be reached is tried again."""
        while True:
            try:
                collected = await self._blobs.collect()
            except Unavailable as exc:
                log.warning("media_not_collected", reason=exc.detail)
            else:
                if collected:
                    log.info("media_collected", rows=collected)
            await asyncio.sleep(self._every_s)
