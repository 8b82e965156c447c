"""The outermost ASGI layer: request ids, headers of every answer, CORS, and an answer to every error."""

import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import structlog
from starlette.middleware.cors import CORSMiddleware

from api.http.bodies import check_length
from api.http.problems import problem_response
from api.identity.client_address import TrustedProxies
from api.stream.registry import Streams
from roost.errors import RoostError
from telemetry.gateway_metrics import GatewayMetrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM_PATH = "/v1/stream"
_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PRIVATE = ("/v1/", "/admin/v1/")
"""What is below answers to its caller alone, and is not to be kept by anything on the way."""

_TUS = ("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata")
_MEDIA_REQUESTS = (*_TUS, "Range", "If-Range", "If-None-Match", "X-HTTP-Method-Override", "X-Request-Id")
_MEDIA_ANSWERS = (
    *_TUS,
    *("Location", "Upload-Expires", "Tus-Version", "Tus-Extension", "Tus-Max-Size"),
    *("Accept-Ranges", "Content-Range", "ETag"),
)
"""Headers of up- and downloads, which pages of the allowed origins may send and read."""

_NOT_STORED = ((b"cache-control", b"no-store"),)

log = structlog.get_logger(__name__)


class Middleware:
    """An ASGI application around the application."""

    def __init__(
        self,
        app: App,
        streams: Streams,
        metrics: GatewayMetrics,
        origins: Sequence[str] = (),
        hsts_s: int = 0,
        proxies: TrustedProxies | None = None,
    ) -> None:
        """Surround an application.

        Args:
            app: It.
            streams: Serve `STREAM_PATH`.
            metrics: Count requests.
            origins: Web origins whose pages may call and read every answer, an error too.
            hsts_s: For how long browsers are told to come back over TLS only, in seconds; 0: not at all.
            proxies: Those whose word about a client's address counts.
        """
        self._hsts: Headers = ((b"strict-transport-security", b"max-age=%d" % hsts_s),) if hsts_s else ()
        self._app = app
        self._guarded: App = self._guard
        if origins:
            self._guarded = CORSMiddleware(
                self._guard,
                allow_origins=origins,
                allow_methods=["*"],
                allow_headers=["Authorization", "Content-Type", *_MEDIA_REQUESTS],
                expose_headers=["X-Request-Id", "Retry-After", "Date", *_MEDIA_ANSWERS],
            )
        self._streams = streams
        self._metrics = metrics
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if self._proxies:
            host, port = scope.get("client") or (None, 0)
            scope = {**scope, "client": (self._proxies.client_of(host, scope["headers"]), port)}
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and scope["path"] == STREAM_PATH:
            await self._streams.serve(dict(scope), receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        # "An HSTS Host MUST NOT include the STS header field in HTTP responses conveyed over non-secure
        # transport." (RFC 6797, 7.2.)
        hsts = self._hsts if scope["scheme"] == "https" else ()
        answer = _Answer(scope, send, self._metrics, hsts)
        if scope["method"] == "HEAD":  # as GET; the server leaves the body out
            scope = {**scope, "method": "GET", "head": True}
        scope["answer"] = answer
        await self._guarded(scope, receive, answer.send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: _Answer = scope["answer"]
        try:
            check_length(scope)
            await self._app(scope, receive, send)
        except RoostError as exc:
            await problem_response(exc, answer.request_id)(scope, receive, send)
        except Exception:
            log.exception("request_failed", method=scope["method"], request_id=answer.request_id)
            if not answer.started:
                error = RoostError(
                    "internal",
                    "Something went wrong; the server's logs have the reason under this request_id.",
                )
                await problem_response(error, answer.request_id)(scope, receive, send)


class _Answer:
    """Adds the headers of every response, counts it, logs what failed."""

    def __init__(self, scope: Scope, send: Send, metrics: GatewayMetrics, hsts: Headers) -> None:
        self.request_id = secrets.token_hex(8)
        self.started = False
        self._method = scope["method"] if scope["method"] in _KNOWN_METHODS else "OTHER"
        self._path: str = scope["path"]
        self._send = send
        self._hsts = hsts
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
                *self._hsts,
                *(_NOT_STORED if self._path.startswith(_PRIVATE) else ()),
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
