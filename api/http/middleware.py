"""The outermost ASGI layer: request ids, body limits, content types, and an answer to every error."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from api.http.problems import problem_response
from api.stream.registry import Streams
from roost import wire
from roost.errors import RoostError
from telemetry.gateway_metrics import GatewayMetrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM_PATH = "/v1/stream"
BODY_MAX = 64 * 1024
"""Bytes of a body, where `LONGER` does not say otherwise."""

LONGER = {"/v1/messages": wire.MAX_FRAME, "/v1/keys/upload": wire.MAX_FRAME}
_BODY_S = 30.0
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_KNOWN_METHODS = _WITH_BODY | {"GET", "HEAD", "DELETE", "OPTIONS"}

log = structlog.get_logger(__name__)


class Middleware:
    """An ASGI application around the application."""

    def __init__(self, app: App, streams: Streams, metrics: GatewayMetrics) -> None:
        self._app = app
        self._streams = streams
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and scope["path"] == STREAM_PATH:
            await self._streams.serve(dict(scope), receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(scope, send, self._metrics)
        try:
            body = await _read_body(scope, receive)
            await self._app(scope, _Replay(body, receive), answer.send)
        except RoostError as exc:
            await problem_response(exc, answer.request_id)(scope, receive, answer.send)
        except Exception:
            log.exception("request_failed", method=scope["method"], request_id=answer.request_id)
            if not answer.started:
                error = RoostError(
                    "internal",
                    "Something went wrong; the server's logs have the reason under this request_id.",
                )
                await problem_response(error, answer.request_id)(scope, receive, answer.send)


class _Answer:
    """Adds the headers of every response, counts it, logs what failed."""

    def __init__(self, scope: Scope, send: Send, metrics: GatewayMetrics) -> None:
        self.request_id = secrets.token_hex(8)
        self.started = False
        self._method = scope["method"] if scope["method"] in _KNOWN_METHODS else "OTHER"
        self._path = scope["path"]
        self._send = send
        self._metrics = metrics
        self._begun = time.perf_counter()
        self._status = 0
        scope["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        """Pass an ASGI message on."""
        if message["type"] == "http.response.start":
            self.started = True
            self._status = message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
        elif not message.get("more_body", False):
            self._done()
        await self._send(message)

    def _done(self) -> None:
        seconds = time.perf_counter() - self._begun
        self._metrics.requests.labels(self._method, str(self._status)).inc()
        self._metrics.seconds.observe(seconds)
        level = log.warning if self._status >= 500 else log.debug  # noqa: PLR2004
        level(
            "request_answered",
            method=self._method,
            path=self._path,
            status=self._status,
            ms=round(seconds * 1000, 1),
            request_id=self.request_id,
        )


class _Replay:
    """Gives the body that was read, then what the connection says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    """Read the body up to its limit, before anything parses it.

    Raises:
        RoostError: ``too_large``, ``unsupported_media_type``, or ``bad_request`` if it never ends.
    """
    headers = dict(scope["headers"])
    limit = LONGER.get(scope["path"], BODY_MAX)
    if int(headers.get(b"content-length", b"0") or b"0") > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(_BODY_S):
            while more:
                message = await receive()
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    raise _too_large(limit)
                more = message.get("more_body", False)
    except TimeoutError as exc:
        raise RoostError("bad_request", "The body did not arrive in time.") from exc
    if size and scope["method"] in _WITH_BODY:
        _check_type(headers.get(b"content-type", b""))
    return b"".join(chunks)


def _check_type(content_type: bytes) -> None:
    name = content_type.partition(b";")[0].strip().lower()
    if name != b"application/json":
        raise RoostError("unsupported_media_type", "Send the body as application/json.")


def _too_large(limit: int) -> RoostError:
    return RoostError("too_large", f"The body may be at most {limit} bytes.")
