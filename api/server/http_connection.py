"""One client's HTTP connection: uvicorn's, with bounds on heads and on bodies that nobody reads.

The parser keeps a head in memory until it is complete, and the server knows no time for it. Here must not
live: anything about routes, tokens or the contract's bodies.
"""

import asyncio
import secrets
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.problems import problem_response
from api.server.connection_counts import ConnectionCounts
from api.server.limits import LIMITS, ConnectionLimits
from roost.errors import RoostError

_CONNECT = b"CONNECT"
_CHUNKING = 8
_AGAIN_S = 10.0

log = structlog.get_logger(__name__)


class HttpConnection(HttpToolsProtocol):
    """Reads requests from one socket and hands them to the application, in order.

    A connection is watched while something is awaited that may never come: the first head, the rest of one,
    the rest of a body that was answered early. In between no timer runs but the one that ends idle ones.

    Attributes:
        limits: The bounds.
    """

    limits: ConnectionLimits = LIMITS

    def __init__(self, *args: Any, counts: ConnectionCounts, **how: Any) -> None:
        super().__init__(*args, **how)
        self._counts = counts
        self._counted: str | None = None
        self._head_since: float | None = None
        self._head_bytes = 0
        self._around_body = 0
        self._unread_since: float | None = None
        self._unread_bytes = 0
        self._watch: asyncio.TimerHandle | None = None
        self._refusal: RoostError | None = None

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head, unless the client has too many connections."""
        super().connection_made(transport)
        self._counted = self._counts.key_of(self.client[0] if self.client else None)
        if not self._counts.enter(self._counted):
            self._refuse(
                RoostError("rate_limited", "Too many connections from this address.", retry_after_s=_AGAIN_S)
            )
            return
        self._head_since = self.loop.time()
        self._look_in(self.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._unwatch()
        self._counts.leave(self._counted)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the socket to a WebSocket connection, which counts itself."""
        self._unwatch()
        self._counts.leave(self._counted)
        self._counted = None
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._unset_keepalive_if_required()
        rest = data
        while rest and not self.transport.is_closing():
            rest = self._read(rest)

    def _read(self, data: bytes) -> bytes:
        """Parse; returns what is to be parsed after that."""
        if self._head_since is not None:
            self._head_bytes += len(data)
        elif self._unread_since is not None:
            self._unread_bytes += len(data)
        elif self.cycle is None or self.cycle.response_complete:
            self._begin_head(len(data))  # perhaps only the empty lines before it, which the parser skips
        else:
            self._around_body += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            return self._upgrade(data[exc.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._refusal or RoostError("bad_request", "This is not an HTTP/1.1 request."))
        else:
            self._check_unfinished()
        return b""

    def _check_unfinished(self) -> None:
        """Bound what the parser holds of a head, and what comes after an answer."""
        if self._head_since is not None:
            if self._head_bytes > self.limits.head_bytes:
                self._refuse(self._too_large())
            self._look_in(self.limits.head_s)
        elif self._unread_since is not None and self._unread_bytes > self.limits.unread_bytes:
            self.transport.close()
        elif self._around_body > self.limits.head_bytes and self._is_answering() and self.cycle.more_body:
            self._refuse(self._too_large())  # headers behind the last chunk

    # --- the parser's calls ---

    def on_message_begin(self) -> None:
        """Begin a request; it may follow another one in the same packet."""
        super().on_message_begin()
        if self._head_since is None:
            self._begin_head(0)

    def on_headers_complete(self) -> None:
        """Check the head, and begin to serve the request."""
        size, self._head_since, self._around_body = self._head_bytes, None, 0
        if size > self.limits.head_bytes or len(self.headers) > self.limits.headers:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.limits.head_bytes or len(self.headers) > self.limits.headers:
                self._refusal = self._too_large()
                raise self._refusal
        if not self._offers_something_else():
            super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = []  # those behind the last chunk are none of the request

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; what surrounds it may be some times as much, in small chunks."""
        super().on_body(body)
        self._around_body = max(0, self._around_body - _CHUNKING * len(body))

    def on_message_complete(self) -> None:
        """End the request; the connection may be idle now, if the answer went out before."""
        if self._offers_something_else():
            return
        super().on_message_complete()
        if self._unread_since is not None:
            self._unread_since = None
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Go on with the next request; what is left of this one's body is dropped, within bounds."""
        super().on_response_complete()
        if self._head_since is not None:  # half a head came meanwhile, and was not read on
            self._head_since = self.loop.time()
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._unread_since, self._unread_bytes = self.loop.time(), 0
            self._look_in(self.limits.unread_s)

    # --- offers of other protocols ---

    def _offers_something_else(self) -> bool:
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()

    def _upgrade(self, rest: bytes) -> bytes:
        """Do what the parser stopped for; returns what it is to read next."""
        if self._should_upgrade():
            self.handle_websocket_upgrade()
            return b""
        if self.parser.get_method() == _CONNECT:
            self._refuse(RoostError("method_not_allowed", "This server is no proxy."))
            return b""
        return self._without_offer() + rest

    def _without_offer(self) -> bytes:
        """Return the head without the offer to change the protocol, for a fresh parser.

        "A server MAY ignore a received Upgrade header field if it wishes to continue using the current
        protocol on that connection." (RFC 9110, 7.8.) The parser takes whatever follows the head of such a
        request for the other protocol, and so loses the body.
        """
        lines = [
            b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        ]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self._begin_head(0)
        return b"\r\n".join([*lines, b"", b""])

    # --- what takes too long, and what is wrong ---

    def _begin_head(self, received: int) -> None:
        self._head_since, self._head_bytes, self._refusal = self.loop.time(), received, None

    def _look_in(self, delay_s: float) -> None:
        if self._watch is None:
            self._watch = self.loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        """End the connection if what it waits for is late."""
        self._watch = None
        waits = (self._head_since, self.limits.head_s), (self._unread_since, self.limits.unread_s)
        left = [since + most - self.loop.time() for since, most in waits if since is not None]
        if not left or self.transport.is_closing():
            return
        if self._is_answering():  # and not reading what the client sends meanwhile
            self._head_since = self.loop.time()
            self._look_in(self.limits.head_s)
        elif min(left) > 0:
            self._look_in(min(left))
        elif self._head_since is not None and self._head_bytes:
            self._refuse(RoostError("too_slow", "The head of the request did not arrive in time."))
        else:
            self.transport.close()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _too_large(self) -> RoostError:
        most = f"{self.limits.head_bytes} bytes and {self.limits.headers} headers"
        return RoostError("headers_too_large", f"The head of a request may have at most {most}.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP (uvicorn's name)."""
        self._refuse(RoostError("bad_request", msg))

    def _refuse(self, error: RoostError) -> None:
        """End the connection with a problem document, after the answers to the requests before."""
        log.debug("request_refused", code=error.code.word)
        cycle, answering = self.cycle, self._is_answering()
        if answering and not cycle.more_body:
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        answered = cycle.response_started if answering else self._unread_since is not None
        if not answered:
            self.transport.write(_problem(error))
        if answering:  # a request without its end must not be carried out
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


def _problem(error: RoostError) -> bytes:
    answer = problem_response(error, secrets.token_hex(8))
    lines = [b"HTTP/1.1 %d " % error.code.status, *(b"%s: %s" % header for header in answer.raw_headers)]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])
