"""Something between a client and the server that answers in its place: real HTTP, by a table."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from roost.client import connections
from roost.wire import JSON, MSGPACK

_HOP = frozenset({"connection", "content-encoding", "content-length", "host", "transfer-encoding"})


@dataclass
class Weather:
    """What is answered instead of the server.

    Attributes:
        status: HTTP status.
        body: The body.
        headers: Further headers; ``{path}`` in a value is the request's path.
        only: Methods that it answers; others reach the server.
    """

    status: int
    body: bytes = b"<html>Sorry</html>"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/html"})
    only: tuple[str, ...] = ("GET", "POST")


class Front:
    """Passes requests and streams on, but for what the weather answers.

    Attributes:
        url: Where it is.
        weather: What it answers now.
        answered: How many requests it answered by itself.
        streams: How many streams it has passed on.
    """

    def __init__(self, target: str, *, frame_limit: int = 0) -> None:
        self.url = ""
        self.weather: Weather | None = None
        self.answered = 0
        self.streams = 0
        self._target = target
        self._frame_limit = frame_limit
        self._open: set[web.WebSocketResponse] = set()
        self._http: aiohttp.ClientSession

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Front"]:
        """Serve on a free port."""
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=1)
        async with connections() as self._http:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = "http://127.0.0.1:{1}".format(*runner.addresses[0])
            try:
                yield self
            finally:
                await self.cut()
                await runner.cleanup()

    async def cut(self) -> None:
        """Close all streams."""
        await asyncio.gather(*(each.close() for each in list(self._open)))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        weather = self.weather
        if weather is not None and request.method in weather.only:
            self.answered += 1
            await request.read()
            headers = {name: value.format(path=request.path_qs) for name, value in weather.headers.items()}
            return web.Response(body=weather.body, status=weather.status, headers=headers)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._bridge(request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._http.request(
            request.method, self._target + request.path_qs, headers=headers, data=await request.read()
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)

    async def _bridge(self, request: web.Request) -> web.StreamResponse:
        self.streams += 1
        near = web.WebSocketResponse(protocols=(MSGPACK, JSON), max_msg_size=self._frame_limit)
        await near.prepare(request)
        self._open.add(near)
        try:
            async with self._http.ws_connect(
                self._target + request.path_qs, protocols=[near.ws_protocol or MSGPACK], max_msg_size=0
            ) as far:
                pumps = [asyncio.create_task(_pump(*pair)) for pair in ((near, far), (far, near))]
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                if not near.closed:
                    await near.close(code=far.close_code or 1001)
        finally:
            self._open.discard(near)
        return near


async def _pump(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)
        else:
            return
