"""The only use of ``obstore``: objects in a folder, S3, GCS or Azure, whichever a URL names."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from roost.errors import Unavailable

_FOLDER: Final = "file"
_REMOTE: Final[Mapping[str, Any]] = {
    "client_options": {"timeout": "60s", "connect_timeout": "10s"},
    "retry_config": {"max_retries": 5},
}


class StoredObjects:
    """Implements ``storage.ports.Objects``.

    Args:
        url: ``file:///folder``, ``s3://bucket/prefix``, ``gs://...`` or ``az://...``
        options: Configuration of the cloud's client, for example its credentials.
    """

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        self._store: Any = _folder(url) if url.startswith(f"{_FOLDER}:") else _bucket(url, options or {})

    async def put(self, place: str, data: bytes) -> None:
        """Write the object; a folder gets it by a rename."""
        with _translated():
            await obstore.put_async(self._store, place, data, use_multipart=False)

    async def get(self, place: str) -> bytes | None:
        """Return the object."""
        try:
            with _translated():
                found = await obstore.get_async(self._store, place)
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None

    async def delete(self, places: Sequence[str]) -> None:
        """Delete these objects, one by one where the store cannot do better."""
        try:
            with _translated():
                await obstore.delete_async(self._store, list(places))
        except FileNotFoundError:
            for place in places if len(places) > 1 else ():
                await self.delete([place])

    async def clear(self, name: str) -> None:
        """Delete every object of a blob."""
        with _translated():
            async for some in obstore.list(self._store, f"{name}/"):
                await self.delete([each["path"] for each in some])


def _folder(url: str) -> LocalStore:
    folder = Path(unquote(urlsplit(url).path))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalStore(folder, automatic_cleanup=True)


def _bucket(url: str, options: Mapping[str, str]) -> Any:
    return from_url(url, config=dict(options), **_REMOTE)  # type: ignore[call-overload]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as exc:
        # Not `from exc`: its text names objects and addresses of the store.
        raise Unavailable(f"The media store did not carry out the call ({type(exc).__name__}).") from None
