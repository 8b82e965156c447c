"""Where tests keep files: a folder, or a bucket on a real server."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import obstore

from storage.blobs import StoredObjects
from tests.certificates import Issued
from tests.real_servers import Servers

Open = Callable[[], StoredObjects]


@dataclass(frozen=True)
class Place:
    """Makes stores with nothing in them.

    Attributes:
        kind: ``folder``, ``s3``, ``gcs`` or ``azure``.
    """

    kind: str
    _open: Callable[[str], StoredObjects]
    _away: Callable[[StoredObjects], AbstractContextManager[None]]

    def new(self) -> Open:
        """Return what opens one and the same store, each time for another process."""
        name = secrets.token_hex(6)
        return lambda: self._open(name)

    @asynccontextmanager
    async def away(self, objects: StoredObjects) -> AsyncIterator[None]:
        """Take the store away, and bring it back with what was in it."""
        with self._away(objects):
            yield

    def folder_of(self, objects: StoredObjects) -> Path | None:
        """Return the folder of a store that is one."""
        return _path(objects) if self.kind == "folder" else None


def place_of(kind: str, servers: Servers, folder: Path) -> Place:
    """Return a place of this kind; for a bucket, start a server that speaks TLS."""
    if kind == "folder":
        return Place(kind, lambda name: StoredObjects((folder / name).as_uri()), _moved)
    from tests.buckets.servers import MAKERS  # noqa: PLC0415 -- what it needs is there for `make media-test`

    bucket = MAKERS[kind](servers, folder, Issued(folder / "certs"))

    @contextmanager
    def stopped(_objects: StoredObjects) -> Iterator[None]:
        servers.stop(bucket.server)  # Azurite keeps nothing through a crash of its own
        yield
        bucket.server = servers.start(bucket.server.spec)

    return Place(kind, lambda name: StoredObjects(f"{bucket.url}/{name}", bucket.access), stopped)


def _path(objects: StoredObjects) -> Path:
    return Path(objects._store.prefix)


@contextmanager
def _moved(objects: StoredObjects) -> Iterator[None]:
    """Have a file where the folder was."""
    folder = _path(objects)
    moved = folder.rename(folder.with_suffix(".moved"))
    folder.touch()
    yield
    folder.unlink()
    moved.rename(folder)


async def stored(objects: StoredObjects) -> dict[str, bytes]:
    """Return every object of a store, by its name."""
    found = {}
    async for some in obstore.list(objects._store):
        for each in some:
            got = await obstore.get_async(objects._store, each["path"])
            found[each["path"]] = bytes(await got.bytes_async())
    return found
