"""A response that lasts: server-sent events to a page, until it leaves or may no longer listen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.collaborators import Collaborators
from api.http.scopes import LOOKING, scopes_of
from api.identity.tokens import Principal
from api.ops.frames import PING, bye
from api.ops.reader import Reader
from roost.errors import RoostError, Unavailable

PING_S: Final = 10.0
"""A stream is never silent for longer."""

_LOOK_AGAIN_S: Final = 10.0
"""So often the account is read: a scope may have been taken away."""

log = structlog.get_logger()


class EventStream(Response):
    """The operators' stream (`api.ops.feed.Feed`), for one page.

    It ends when the session or the token does, when the account loses its scope, when the gateway stops, and
    when the page does not read what it is sent; its last event says which.

    Args:
        collaborators: Know what is new, and who may listen.
        caller: Who listens.
    """

    media_type = "text/event-stream"

    def __init__(self, collaborators: Collaborators, caller: Principal) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._collaborators, self._caller = collaborators, caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them.

        Raises:
            RoostError: Nothing was sent, since the coordinator does not answer or too many pages listen.
        """
        feed = self._collaborators.ops
        with feed.listening() as reader:
            first = await feed.beginning(reader)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope.get("head"):  # there is no body that would end
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            tasks = [
                asyncio.create_task(self._write(reader, first, send)),
                asyncio.create_task(_left(receive)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if not tasks[0].cancelled():
            tasks[0].result()

    async def _write(self, reader: Reader, first: bytes, send: Send) -> None:
        try:
            async with self._as_long_as_allowed(reader):
                await _part(send, first)
                while True:
                    await _part(send, await reader.next(PING_S) or PING)
        except RoostError as exc:
            log.info("operator_stream_ended", code=exc.code.word, by=self._caller.username)
            await send({"type": "http.response.body", "body": bye(exc), "more_body": False})

    @asynccontextmanager
    async def _as_long_as_allowed(self, reader: Reader) -> AsyncIterator[None]:
        """End the reader, or raise, once the caller may no longer listen."""
        loop, caller = asyncio.get_running_loop(), self._caller
        left_s = max(0.0, (caller.expires_ms - self._collaborators.clock()) / 1000)
        ended = RoostError("unauthenticated", "The token has ended: come again with a fresh one.")
        at_end = loop.call_later(left_s, reader.end, ended)
        looking = asyncio.create_task(self._look_again(reader))
        try:
            async with self._collaborators.revocations.unless_ended(caller.family):
                yield
        finally:
            at_end.cancel()
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look_again(self, reader: Reader) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            try:
                held = await scopes_of(self._collaborators, self._caller)
            except Unavailable as exc:  # what can be seen is needed most while the store is away
                log.info("scope_not_read_again", reason=exc.detail)
                continue
            if held.isdisjoint(LOOKING):
                reader.end(RoostError("forbidden", "The scope was taken away from this account."))


async def _part(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _left(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
