"""Files on their way: sealed and uploaded, downloaded and opened, in memory that does not grow with them."""

import asyncio
import hashlib
import mimetypes
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import IO, Final, TypeVar

from roost.client.content import FileReference, Progress
from roost.client.core.lane import pause_ms
from roost.client.filenames import numbered, safe_name
from roost.client.transport.http import Api
from roost.client.transport.media import MediaCalls
from roost.crypto.files import KEY_BYTES, FileOpener, seal_file, sealed_size
from roost.errors import RoostError, Unavailable

_PIECE: Final = 256 * 1024
"""Bytes that are read, sealed or written at once."""

_REQUEST: Final = 16 * 1024 * 1024
"""Bytes of one request of an upload: proxies bound it."""

_ATTEMPTS: Final = 8
"""Attempts without any progress, some 50 s, after which a transfer is given up and says so."""

_LONGEST_WAIT_S: Final = 60.0
_SPOOL: Final = Path("/var/tmp")  # noqa: S108 -- sealed bytes only, in a file without a name
"""Where sealed files wait: on a disk, where ``/tmp`` may be memory."""

T = TypeVar("T")


class Transfers:
    """The transfers of one client.

    Args:
        api: Authenticated calls.
        random: Source of random bytes.
    """

    def __init__(self, api: Api, random: Callable[[int], bytes]) -> None:
        self._media = MediaCalls(api)
        self._random = random

    async def upload(self, path: Path, progress: Progress | None = None) -> FileReference:
        """Seal a file and upload it.

        It is sealed into a file of its own before any of it is sent. So what is sent again after a broken
        connection are the same bytes, also if the file is changed meanwhile: no nonce is used twice.

        Raises:
            RoostError: The server refuses it.
            Unavailable: The server cannot be reached, also after some attempts.
            OSError: It cannot be read.
        """
        name = path.name.encode(errors="replace").decode()  # what is no UTF-8 is no part of a message
        with await asyncio.to_thread(path.open, "rb") as source:
            return await self.upload_from(source, name, progress)

    async def upload_from(
        self, source: IO[bytes], name: str, progress: Progress | None = None
    ) -> FileReference:
        """Seal an open file, from where it stands, and upload it; as `upload` does."""
        key = self._random(KEY_BYTES)
        with spool() as sealed:
            size, sha256 = await asyncio.to_thread(_sealed, source, key, sealed)
            total = sealed_size(size)
            media_id = await _Attempts().until_done(lambda: self._media.create(total))
            await self._send(media_id, sealed, total, progress)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileReference(media_id, key, sha256, size, name, kind)

    async def download(self, file: FileReference, path: Path, progress: Progress | None = None) -> Path:
        """Download a file, open it, and put it in its place; see `File.save`."""
        opener = FileOpener(file.key, file.size, file.sha256)
        with _draft_beside(path) as (draft, target):
            await self._receive(file, opener, target, progress)
            await asyncio.to_thread(_kept, target)
            return _put_in_place(draft, path, file.name)

    async def fetch(self, file: FileReference, target: IO[bytes]) -> None:
        """Download a file into an open one; what is in it counts when this returns."""
        await self._receive(file, FileOpener(file.key, file.size, file.sha256), target, None)

    async def _send(self, media_id: str, sealed: IO[bytes], total: int, progress: Progress | None) -> None:
        def told(done: int) -> None:
            _tell(progress, done, total)

        at, attempts = 0, _Attempts()
        while at < total:
            size = min(_REQUEST, total - at)
            before = at
            try:
                at = await self._media.append(media_id, at, size, _pieces(sealed, at, size, told))
            except RoostError as exc:
                if exc.code.word != "offset_mismatch":
                    await attempts.failed(exc)
                at = await attempts.until_done(lambda: self._media.offset(media_id))
            if at > before:
                attempts.progressed()

    async def _receive(
        self, file: FileReference, opener: FileOpener, target: IO[bytes], progress: Progress | None
    ) -> None:
        total, attempts = sealed_size(file.size), _Attempts()
        while opener.taken < total:
            try:
                async with aclosing(self._media.fetch(file.media_id, opener.taken, _PIECE)) as pieces:
                    async for data in pieces:
                        await asyncio.to_thread(_opened, opener, data, target)
                        attempts.progressed()
                        _tell(progress, opener.taken, total)
            except RoostError as exc:
                await attempts.failed(exc)
            else:
                if opener.taken < total:
                    await attempts.failed(Unavailable("The file ended early."))
        opener.finish()


class _Attempts:
    """How often it was tried without progress, and how long to wait before the next time."""

    def __init__(self) -> None:
        self._failures = 0

    def progressed(self) -> None:
        """Something was done: begin to count again."""
        self._failures = 0

    async def failed(self, exc: RoostError) -> None:
        """Wait before the next attempt, or raise if another one is of no use."""
        self._failures += 1
        advice = exc.retry_after_s or 0.0
        if exc.code.retry != "later" or self._failures > _ATTEMPTS or advice > _LONGEST_WAIT_S:
            raise exc
        await asyncio.sleep(max(advice, pause_ms(self._failures) / 1000 if self._failures > 1 else 0.0))

    async def until_done(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempt until it is done."""
        while True:
            try:
                return await attempt()
            except RoostError as exc:
                await self.failed(exc)


def _opened(opener: FileOpener, data: bytes, target: IO[bytes]) -> None:
    target.write(opener.feed(data))


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


async def _pieces(spool: IO[bytes], at: int, size: int, told: Callable[[int], None]) -> AsyncIterator[bytes]:
    spool.seek(at)
    end = at + size
    while at < end:
        data = await asyncio.to_thread(spool.read, min(_PIECE, end - at))
        yield data
        at += len(data)
        told(at)


def spool() -> IO[bytes]:
    """Open a file without a name, for what is on its way."""
    return tempfile.TemporaryFile(dir=_SPOOL if os.access(_SPOOL, os.W_OK) else None)


def _sealed(source: IO[bytes], key: bytes, sealed: IO[bytes]) -> tuple[int, bytes]:
    """Seal the file into another one; returns its size, and the digest of what was written."""
    digest = hashlib.sha256()
    size = os.fstat(source.fileno()).st_size - source.tell()
    for chunk in seal_file(source, size, key):
        digest.update(chunk)
        sealed.write(chunk)
    return size, digest.digest()


@contextmanager
def _draft_beside(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open a file that only its user can read; it is gone in the end, if it was not put in its place."""
    folder = path if path.is_dir() else path.parent
    handle, name = tempfile.mkstemp(dir=folder, prefix=".roost-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as target:
            yield Path(name), target
    finally:
        Path(name).unlink(missing_ok=True)


def _kept(target: IO[bytes]) -> None:
    target.flush()
    os.fsync(target.fileno())


def _put_in_place(draft: Path, path: Path, name: str) -> Path:
    if not path.is_dir():
        return draft.replace(path)
    for each in numbered(safe_name(name)):
        place = path / each
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # takes the name
        except FileExistsError:
            continue
        return draft.replace(place)
    raise FileExistsError(f"{path} has too many files of the name {name!r}")
