"""The writer of a blob: takes bytes in order, and puts them into the object store part by part.

A writer begins where the store's bytes end. If that is within a part, this part is written again under the
writer's own name before the row is taken over, so that every byte that the row counts is in an object that no
other writer touches: whoever comes late can no longer spoil it.
"""

import asyncio
import secrets
from typing import Final

from msgspec import structs

from storage.blob_records import Blob, place
from storage.blobs.sealing import PartBroken, open_part, seal_part
from storage.ports import Blobs, Objects

_NOTE_EVERY: Final = 8
"""Parts after which the row learns of them: what was not noted is sent again after a crash."""


class WriterReplaced(Exception):  # noqa: N818 -- named for what happened
    """Another writer has taken over the blob, or it is no longer open: nothing more can be appended."""


class BlobWriter:
    """Appends to an open blob; `begin` makes one.

    Attributes:
        offset: Bytes that the blob has so far, of which the last part may not be stored yet.
    """

    def __init__(self, blob: Blob, rows: Blobs, objects: Objects, working: asyncio.Semaphore) -> None:
        self._blob, self._rows, self._objects, self._working = blob, rows, objects, working
        self._buffer = bytearray()
        self._index = blob.offset // blob.part
        self._unnoted = 0
        self.offset = blob.offset

    @classmethod
    async def begin(
        cls, seen: Blob, rows: Blobs, objects: Objects, working: asyncio.Semaphore
    ) -> "BlobWriter":
        """Take over a blob.

        Args:
            seen: The row.
            rows: Where it is.
            objects: Where the parts go.
            working: Bounds how many parts are being sealed and written.

        Raises:
            WriterReplaced: Another one was faster.
            PartBroken: The last part does not open.
        """
        writer, index = secrets.token_hex(8), seen.offset // seen.part
        runs = (*(run for run in seen.runs if run[0] < index), (index, writer))
        own = cls(structs.replace(seen, writer=writer, runs=runs), rows, objects, working)
        if tail := seen.offset % seen.part:
            try:
                own._buffer += (await read_part(seen, index, objects))[:tail]
            except PartBroken:  # or the part went with the row that we saw
                if await rows.get(seen.name) != seen:
                    raise WriterReplaced from None
                raise
            await own._put(bytes(own._buffer))
        if not await rows.take_over(seen, writer, runs):
            await objects.delete([place(seen.name, index, writer)] if tail else [])
            raise WriterReplaced
        if tail:
            await objects.delete([seen.place(index)])
        return own

    async def write(self, data: bytes) -> None:
        """Append bytes; returns once all parts that they complete are stored.

        A part that could not be stored stays, and is tried again with the next bytes.

        Raises:
            WriterReplaced: Another one has taken over.
            Unavailable: The store does not answer.
        """
        self._buffer += data
        self.offset += len(data)
        part = self._blob.part
        while len(self._buffer) >= part:
            with memoryview(self._buffer) as view:
                full = bytes(view[:part])
            await self._put(full)
            del self._buffer[:part]
            self._index += 1
            self._unnoted += 1
            if self._unnoted == _NOTE_EVERY:
                await self._note(self._index * part)

    async def flush(self) -> None:
        """Store what is left, and note it; raises as ``write`` does."""
        await self._store_rest()
        await self._note(self.offset)

    async def note(self) -> None:
        """Note the parts that are stored, when the rest cannot be; raises `WriterReplaced`."""
        await self._note(self._index * self._blob.part)

    async def finish(self, expires_at_ms: int) -> None:
        """Store what is left, and make the blob whole; raises as ``write`` does."""
        await self._store_rest()
        if not await self._rows.finish(self._blob.name, self._blob.writer, self.offset, expires_at_ms):
            await self._withdraw()

    async def _store_rest(self) -> None:
        await self.write(b"")  # else a whole part that is still there would be put together with the rest
        if self._buffer:
            await self._put(bytes(self._buffer))

    async def _put(self, data: bytes) -> None:
        blob = self._blob
        async with self._working:
            sealed = await asyncio.to_thread(seal_part, blob.key, blob.name, self._index, data)
            await self._objects.put(place(blob.name, self._index, blob.writer), sealed)

    async def _note(self, offset: int) -> None:
        if not await self._rows.advance(self._blob.name, self._blob.writer, offset):
            await self._withdraw()
        self._unnoted = 0

    async def _withdraw(self) -> None:
        """Remove what this writer put behind the place where another one took over.

        That is behind the last note, and what is there under this writer's name is counted by no row.
        """
        first = self._index - self._unnoted
        name, writer = self._blob.name, self._blob.writer
        await self._objects.delete([place(name, index, writer) for index in range(first, self._index + 1)])
        raise WriterReplaced


async def read_part(blob: Blob, index: int, objects: Objects) -> bytes:
    """Return the part that the row counts.

    Raises:
        PartBroken: It is not there, or does not open.
    """
    sealed = await objects.get(blob.place(index))
    if sealed is None:
        raise PartBroken(f"part {index} of a blob is missing")
    return await asyncio.to_thread(open_part, blob.key, blob.name, index, sealed)
