"""Objects in a folder, or in a bucket of S3, GCS or Azure, whichever a URL names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from roost.errors import Unavailable
from storage.access import BucketAccess
from storage.blobs.bucket import open_bucket
from storage.blobs.failures import translated

_FOLDER: Final = "file"
_CALL_S: Final = 30.0
"""Seconds after which a call is given up, whatever is still to be tried again: somebody waits for it."""

_TOLD_S: Final = 60.0
"""Seconds for which the log says nothing more of a store that fails in the same way."""

log = structlog.get_logger(__name__)


class StoredObjects:
    """Implements ``storage.ports.Objects``.

    Args:
        url: ``file:///folder``, ``s3://bucket/prefix``, ``gs://...`` or ``az://...``
        access: What a bucket needs besides.

    Raises:
        BucketUnusable: The client of the bucket refuses its options.
        OSError: The folder cannot be made, or a file of the settings not be read.
    """

    def __init__(self, url: str, access: BucketAccess | None = None) -> None:
        self._store: Any = (
            _folder(url) if url.startswith(f"{_FOLDER}:") else open_bucket(url, access or BucketAccess())
        )
        self._told = ("", 0.0)

    async def put(self, place: str, data: bytes) -> None:
        """Write the object; a folder gets it by a rename."""
        async with self._call():
            await obstore.put_async(self._store, place, data, use_multipart=False)

    async def get(self, place: str) -> bytes | None:
        """Return the object."""
        async with self._call():
            try:
                found = await obstore.get_async(self._store, place)
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                await self._look()
                return None

    async def delete(self, places: Sequence[str]) -> None:
        """Delete these objects, one by one where the store cannot do better."""
        async with self._call():
            await self._delete(places)

    async def clear(self, name: str) -> None:
        """Delete every object of a blob."""
        objects = obstore.list(self._store, f"{name}/")
        while True:
            async with self._call():
                some = [each["path"] for each in await anext(objects, [])]
                if not some:
                    return
                await self._delete(some)

    async def _delete(self, places: Sequence[str]) -> None:
        try:
            await obstore.delete_async(self._store, list(places))
        except FileNotFoundError:
            await self._look()
            for place in places if len(places) > 1 else ():
                await self._delete([place])

    async def _look(self) -> None:
        """Fail if it is the bucket that is not there, and not only an object in it."""
        await anext(obstore.list(self._store, chunk_size=1), None)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """Bound a call, and translate what goes wrong; the log learns of it, too."""
        try:
            async with asyncio.timeout(_CALL_S):
                yield
        except TimeoutError:
            failure = Unavailable(f"The media store does not answer within {_CALL_S:g} s.")
        except (BaseError, OSError) as exc:
            failure = translated(exc)
        else:
            return
        self._tell(failure.detail)
        raise failure from None  # the text of the cause names objects and addresses of the store

    def _tell(self, reason: str) -> None:
        before, at = self._told
        now = asyncio.get_running_loop().time()
        if reason != before or now - at > _TOLD_S:
            self._told = (reason, now)
            log.warning("media_store_failed", reason=reason)


def _folder(url: str) -> LocalStore:
    folder = Path(unquote(urlsplit(url).path))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalStore(folder, automatic_cleanup=True)
