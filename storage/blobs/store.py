"""The store of media: blobs are reserved, written, read, removed, and collected when their time is over."""

import hashlib
import re
import secrets
from asyncio import Semaphore
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from roost.clock import Clock
from roost.errors import RoostError
from storage.blob_records import PART_BYTES, Blob
from storage.blobs.quota import DAY_MS, Quota
from storage.blobs.sealing import KEY_BYTES
from storage.blobs.writer import BlobWriter, read_part
from storage.ports import Blobs, Objects

_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_ID_BYTES: Final = 32
_WORKING: Final = 8
"""Parts that one process seals or opens at once, each with some megabytes while it does."""

_BATCH: Final = 200


class Reserved(NamedTuple):
    """A blob that was just reserved, with the id that clients know it by."""

    media_id: str
    blob: Blob


class BlobStore:
    """Blobs, each a row and its parts.

    The row is there before the first part, and goes after the last one: what a crash leaves behind is found.

    Args:
        rows: Who owns what, and how far it is.
        objects: The parts.
        quota: How much a user may keep and upload.
        clock: The time.
        part: Bytes of each part of new blobs.
    """

    def __init__(
        self, rows: Blobs, objects: Objects, quota: Quota, clock: Clock, *, part: int = PART_BYTES
    ) -> None:
        self._rows, self._objects, self._clock, self._part = rows, objects, clock, part
        self._working = Semaphore(_WORKING)
        self.quota = quota

    async def reserve(self, user: str, size: int | None) -> Reserved:
        """Begin a blob, its size counted against the user's quota.

        Of two at once that only one of has room for, none or one is let in, never both: each is counted
        before it is judged.

        Args:
            user: The owner.
            size: How long it will be; None: nobody knows, and the longest file is reserved.

        Raises:
            RoostError: ``too_large``, ``media_quota`` or ``rate_limited``.
        """
        reserved = self.quota.file_bytes if size is None else size
        self.quota.check_size(reserved)
        media_id, now_ms = secrets.token_urlsafe(_ID_BYTES), self._clock()
        blob = Blob(
            name=name_of(media_id),
            user=user,
            size=reserved,
            offset=0,
            state="open",
            key=secrets.token_bytes(KEY_BYTES),
            writer="",
            runs=(),
            created_at_ms=now_ms,
            expires_at_ms=now_ms + self.quota.unfinished_ms,
            part=self._part,
        )
        await self._rows.add(blob)
        try:
            self.quota.check(await self._rows.usage(user), now_ms)
        except RoostError:
            await self._rows.forget(blob.name)  # it has no bytes, and does not count
            raise
        return Reserved(media_id, blob)

    async def find(self, media_id: str) -> Blob:
        """Return a blob whose time is not over.

        Raises:
            RoostError: ``unknown_media``.
        """
        blob = await self._rows.get(name_of(media_id)) if _ID.fullmatch(media_id) else None
        if blob is None or blob.state == "gone" or blob.expires_at_ms <= self._clock():
            raise RoostError("unknown_media", "There is no such file, or no longer.")
        return blob

    async def begin(self, blob: Blob) -> BlobWriter:
        """Take over an open blob to append to it; raises as `BlobWriter.begin` does."""
        return await BlobWriter.begin(blob, self._rows, self._objects, self._working)

    async def finish(self, writer: BlobWriter) -> int:
        """Make a blob whole; returns when it expires."""
        expires_at_ms = self._clock() + self.quota.keep_ms
        await writer.finish(expires_at_ms)
        return expires_at_ms

    async def read(self, blob: Blob, begin: int, end: int) -> AsyncGenerator[memoryview]:
        """Yield the bytes from ``begin`` up to ``end``, a part at most at a time.

        Raises:
            PartBroken: A part was removed meanwhile, or does not open.
        """
        for index in range(begin // blob.part, -(-end // blob.part)):
            async with self._working:
                data = memoryview(await read_part(blob, index, self._objects))
            at = index * blob.part
            yield data[max(begin - at, 0) : end - at]

    async def remove(self, blob: Blob) -> None:
        """Remove a blob: its key first, so that it opens no more, then its bytes.

        What is left of it counts against the day's quota, and goes when a day is over.
        """
        await self._rows.bury(blob.name, self._clock() + DAY_MS)
        await self._objects.clear(blob.name)

    async def collect(self) -> int:
        """Remove what has expired, and the rows of what was removed a day ago; returns how many."""
        collected = 0
        while due := await self._rows.due(self._clock(), _BATCH):
            for blob in due:
                if blob.state == "gone":
                    await self._objects.clear(blob.name)  # what a crash, or a late writer, left behind
                    await self._rows.forget(blob.name)
                else:
                    await self.remove(blob)
            collected += len(due)
        return collected


def name_of(media_id: str) -> str:
    """Return the name of a blob's row and objects, from which its id cannot be found."""
    return hashlib.blake2b(media_id.encode(), digest_size=32, person=b"roost.media").hexdigest()
