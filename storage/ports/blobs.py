"""Rows of media, and the bytes they speak of."""

from collections.abc import Sequence
from typing import Protocol

from storage.blob_records import Blob, Usage


class Blobs(Protocol):
    """The rows. Whoever appends holds the row's ``writer``, and loses it to the next one."""

    async def add(self, blob: Blob) -> None:
        """Insert the row; the same one again changes nothing."""
        ...

    async def get(self, name: str) -> Blob | None:
        """Return the row."""
        ...

    async def usage(self, user: str) -> list[Usage]:
        """Return what counts against the user's quota: every row, ones that are gone included."""
        ...

    async def take_over(self, seen: Blob, writer: str, runs: Sequence[tuple[int, str]]) -> bool:
        """Make ``writer`` the one that may append; False if the row is no longer as it was seen. Atomic."""
        ...

    async def advance(self, name: str, writer: str, offset: int) -> bool:
        """Note how many bytes the store has; False if another writer has taken over, or it is not open."""
        ...

    async def finish(self, name: str, writer: str, size: int, expires_at_ms: int) -> bool:
        """Make it whole, with so many bytes; False as in ``advance``."""
        ...

    async def bury(self, name: str, until_ms: int) -> None:
        """Mark it as gone and drop its key, so that nothing opens its bytes; keep the row until then.

        Idempotent, and the end of every writer. Of an unfinished one only the bytes that came stay counted.
        """
        ...

    async def due(self, now_ms: int, limit: int) -> list[Blob]:
        """Return rows whose time is over, without their keys."""
        ...

    async def forget(self, name: str) -> None:
        """Delete the row."""
        ...


class Objects(Protocol):
    """The bytes: a folder, or a bucket of a cloud. Objects are written whole, and never changed."""

    async def put(self, place: str, data: bytes) -> None:
        """Write the object; once this returns it is there as a whole, and before it is not."""
        ...

    async def get(self, place: str) -> bytes | None:
        """Return the object, None if there is none."""
        ...

    async def delete(self, places: Sequence[str]) -> None:
        """Delete these objects; those that are not there do no harm."""
        ...

    async def clear(self, name: str) -> None:
        """Delete every object of a blob, whoever wrote it."""
        ...
