"""The media calls over HTTP: tus for uploads, ranges for downloads, streamed in both directions."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from roost.client.transport.answers import Answer, Empty, NotRoost
from roost.client.transport.http import Api
from roost.errors import RoostError, Unavailable

_UPLOADS: Final = "/v1/media/uploads"
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_CHUNK: Final = "application/offset+octet-stream"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
_FIRST_ERROR: Final = 400
_PARTIAL: Final = 206


class MediaCalls:
    """Calls in the name of one device.

    Each raises `RoostError` if the server refuses, and `Unavailable` if nothing of it answers.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, size: int) -> str:
        """Begin an upload; returns the media id."""
        async with self._call("POST", _UPLOADS, {**_TUS, "Upload-Length": str(size)}) as answer:
            location = answer.headers.get("Location", "")
        media_id = location.rpartition("/")[2]
        if not media_id:
            raise NotRoost(f"{self._api.server} began an upload and does not say where.")
        return media_id

    async def offset(self, media_id: str) -> int:
        """Return how many bytes of an upload the server has."""
        async with self._call("HEAD", f"{_UPLOADS}/{media_id}", _TUS) as answer:
            return self._number(answer, "Upload-Offset")

    async def append(self, media_id: str, offset: int, size: int, body: AsyncIterator[bytes]) -> int:
        """Send the next bytes; returns how many the server has then."""
        headers = {
            **_TUS,
            "Content-Type": _CHUNK,
            "Content-Length": str(size),
            "Upload-Offset": str(offset),
        }
        async with self._call("PATCH", f"{_UPLOADS}/{media_id}", headers, body) as answer:
            return self._number(answer, "Upload-Offset")

    async def fetch(self, media_id: str, begin: int, piece: int) -> AsyncGenerator[bytes]:
        """Yield the bytes of a file from ``begin`` on, in pieces of at most so many bytes.

        Raises:
            Unavailable: The connection broke.
        """
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        async with self._call("GET", f"/v1/media/{media_id}", headers) as answer:
            if begin and (answer.status != _PARTIAL or not _begins_at(answer, begin)):
                raise NotRoost(f"{self._api.server} gave another part of the file than was asked for.")
            async for data in answer.content.iter_chunked(piece):
                yield data

    @asynccontextmanager
    async def _call(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        api = self._api
        token = await api.fresh_token()
        try:
            named = {**headers, "Authorization": f"Bearer {token}"}
            async with api.http.request(
                method, api.base + path, data=body, headers=named, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                if answer.status >= _FIRST_ERROR or answer.status in range(300, 400):
                    await self._refused(answer, token)
                yield answer
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
            raise Unavailable(f"{api.server} broke off ({type(exc).__name__}).", retry_after_s=0.0) from exc

    async def _refused(self, answer: aiohttp.ClientResponse, token: str) -> None:
        """Raise what the server says; where only the token is too old, the next try has a fresh one."""
        try:
            Answer(answer.url, answer.status, answer.headers, await answer.read()).read(
                Empty, 0, self._api.server
            )
        except RoostError as exc:
            if exc.code.word != "unauthenticated":
                raise
            await self._api.refresh(token)
            raise Unavailable("The access token had ended.", retry_after_s=0.0) from exc

    def _number(self, answer: aiohttp.ClientResponse, name: str) -> int:
        text = answer.headers.get(name, "")
        if not (text.isascii() and text.isdigit()):
            raise NotRoost(f"{self._api.server} did not answer like a Roost server: is this its address?")
        return int(text)


def _begins_at(answer: aiohttp.ClientResponse, begin: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {begin}-")
