"""Files on their way from the store to the socket, as fast as the client reads and no faster."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

import structlog
from fastapi import Response
from starlette.types import Receive, Scope, Send

from api.media.transfers import Media
from roost.errors import RoostError
from storage.blobs.sealing import PartBroken

_PIECE: Final = 64 * 1024
"""Bytes handed to the socket at once."""

log = structlog.get_logger(__name__)

Parts = AsyncGenerator[memoryview]


class OutgoingFile(Response):
    """An answer with a file, or a range of one.

    What is wrong before the first byte is answered in the contract's form. Later nothing can be said: the
    connection is closed before the announced length is reached, which no client takes for the end.
    """

    media_type = "application/octet-stream"

    def __init__(
        self,
        media: Media,
        user: str,
        parts: Parts,
        still: Callable[[], None],
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(None, status, headers)
        self._media, self._user, self._parts, self._still = media, user, parts, still

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._media.transfer("download", self._user):
            async with aclosing(self._parts) as parts:
                try:
                    first = await anext(parts, memoryview(b""))
                except PartBroken as exc:
                    log.error("media_part_broken", reason=str(exc))  # noqa: TRY400 -- a sentence, not a crash
                    raise RoostError("unknown_media", "The file was removed, or is damaged.") from exc
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                gone = asyncio.ensure_future(_disconnected(receive))
                try:
                    await self._rest(first, parts, send, gone)
                except (PartBroken, RoostError, TimeoutError) as exc:
                    log.warning("download_broke_off", reason=str(exc) or "the client reads too slowly")
                finally:
                    gone.cancel()

    async def _rest(
        self, part: memoryview | None, parts: Parts, send: Send, gone: "asyncio.Future[None]"
    ) -> None:
        pace, loop = self._media.limits.pace, asyncio.get_running_loop()
        sent, spent_s = 0, 0.0
        while part is not None:
            for at in range(0, len(part), _PIECE):
                self._still()
                piece, began = part[at : at + _PIECE], loop.time()
                async with asyncio.timeout(pace.left_s(sent, spent_s)):
                    await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
                if gone.done():
                    return
                spent_s += loop.time() - began
                sent += len(piece)
            part = await anext(parts, None)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
