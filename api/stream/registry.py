"""The WebSocket streams of a gateway: opened, found by their session, closed."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import structlog

from api.identity.tokens import Principal
from api.stream.services import Displaced, StreamServices
from api.stream.socket import Receive, Stream
from api.stream.writer import Send
from roost import wire
from roost.errors import RoostError

_GOODBYE_S = 2.0

log = structlog.get_logger(__name__)


class Streams:
    """The registry.

    Attributes:
        opened: Streams begun.
    """

    def __init__(self, services: StreamServices) -> None:
        self.opened = 0
        self._services = services
        self._all: set[Stream] = set()
        self._families: dict[str, set[Stream]] = {}
        self._family_of: dict[Stream, str] = {}
        self._stopping = False
        services.revocations.listen(self._revoked)
        services.hosts.on_presence(services.subscriptions.heard, services.subscriptions.linked)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._all)

    @property
    def displaced(self) -> Iterable[Displaced]:
        """The last streams that a newer one of the same device took over from."""
        return self._services.displaced

    @property
    def ended(self) -> Counter[str]:
        """Streams ended by us, by code word."""
        return self._services.ended

    async def serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one WebSocket connection (an ASGI application)."""
        await receive()  # websocket.connect
        offered = scope.get("subprotocols", [])
        chosen = next((name for name in offered if name in wire.CODECS), None)
        if self._stopping or (offered and chosen is None):
            await send({"type": "websocket.close", "code": 4000})
            return
        by_header, problem = self._header(scope["headers"])
        await send({"type": "websocket.accept", "subprotocol": chosen})
        codec = wire.CODECS[chosen or wire.JSON]
        stream = Stream(self._services, codec, by_header, receive, send, self._index)
        self._all.add(stream)
        self.opened += 1
        stream.serial, stream.client = self.opened, scope.get("client")
        try:
            if problem is not None:
                stream.end(problem.code.word, problem.detail)
            await stream.run()
        finally:
            self._gone(stream)

    async def tick(self) -> None:
        """Let time pass on every stream, once a second. Does not return."""
        while True:
            await asyncio.sleep(1.0)
            now = self._services.clock()
            for stream in list(self._all):
                self._tick(stream, now)

    @staticmethod
    def _tick(stream: Stream, now_ms: int) -> None:
        try:
            stream.tick(now_ms)
        except Exception:  # time must go on for all others
            log.exception("stream_failed", user=stream.user)
            stream.end("internal", "Something went wrong on the server.")

    async def close(self) -> None:
        """Say goodbye to all clients, and wait a moment for it to get through."""
        self._stopping = True
        for stream in list(self._all):
            stream.end("going_away", "This server is stopping.")
        try:
            async with asyncio.timeout(_GOODBYE_S):
                while self._all:  # noqa: ASYNC110 -- once in a gateway's life
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return  # what is left is closed with the listener

    def _header(self, headers: list[tuple[bytes, bytes]]) -> tuple[str | None, RoostError | None]:
        """Return the access token of the ``Authorization`` header, and what is wrong with it."""
        value = next((value for name, value in headers if name == b"authorization"), None)
        if value is None:
            return None, None
        scheme, _, token = value.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None, RoostError(
                "unauthenticated", "The Authorization header must be 'Bearer ACCESS_TOKEN'."
            )
        try:
            self._services.verify(token.strip())
        except RoostError as exc:
            return None, exc
        return token.strip(), None

    def _index(self, stream: Stream, principal: Principal) -> None:
        """Know the stream by its session, which may be another one than before."""
        self._unindex(stream)
        self._family_of[stream] = principal.family
        self._families.setdefault(principal.family, set()).add(stream)

    def _unindex(self, stream: Stream) -> None:
        family = self._family_of.pop(stream, None)
        if family is not None:
            streams = self._families[family]
            streams.discard(stream)
            if not streams:
                del self._families[family]

    def _gone(self, stream: Stream) -> None:
        self._all.discard(stream)
        self._unindex(stream)
        self._services.subscriptions.follow(stream, {})
        self._services.hosts.attachments.remove(stream)

    def _revoked(self, family: str) -> None:
        for stream in list(self._families.get(family, ())):
            stream.revoked()
