"""The listener of a gateway: its socket, TLS, and uvicorn inside the gateway's process.

Several gateways share one port: each binds it with SO_REUSEPORT and the kernel spreads the connections.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from msgspec import Struct

from api.identity.client_address import TrustedProxies
from api.server.connection_counts import ConnectionCounts
from api.server.http_connection import HttpConnection
from api.server.limits import LIMITS
from api.server.websocket_connection import WebSocketConnection
from roost import wire
from roost.clock import Clock, now_ms
from roost.tls_files import followed_server_context

STOP_S = 5
"""How long connections may take to end when the listener stops, in seconds."""

_BACKLOG = 2_048
_PING_S = 20.0
_UNREAD_MS = 30_000
_SEND_BUFFER = 256 * 1024

log = structlog.get_logger(__name__)


class Listen(Struct, frozen=True):
    """Where to listen.

    Attributes:
        host: IP address.
        port: TCP port, 0 for any.
        certificate: File with the TLS certificate chain, None for no TLS. It may be replaced at any time.
        key: File with its private key; None if it is in the same file.
        connections: So many may one address have open.
        proxies: Their connections are not counted.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    connections: int = 1_000
    proxies: TrustedProxies | None = None


def bind(host: str, port: int) -> socket.socket:
    """Bind the shared port.

    Raises:
        OSError: Another process has it, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Both are inherited by accepted sockets. A bounded buffer bounds what a slow reader costs, and
    # shows it early.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    # The kernel gives up a peer that reads nothing for this long.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003 -- the standard library's signature
    return listener


def _config(app: Any, counts: ConnectionCounts) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=partial(HttpConnection, counts=counts),  # type: ignore[arg-type]  # makes them all the same
        ws=partial(WebSocketConnection, counts=counts),  # type: ignore[arg-type]
        ws_max_size=wire.MAX_FRAME,
        ws_per_message_deflate=False,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PING_S,
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=LIMITS.idle_s,
        timeout_graceful_shutdown=STOP_S,
    )


class Server(uvicorn.Server):
    """uvicorn inside another program's process: it leaves the signals alone.

    Args:
        app: What it serves.
        listen: Where.
        clock: The time that answers have in ``Date``, by which clients set theirs.
    """

    def __init__(self, app: Any, listen: Listen, clock: Clock = now_ms) -> None:
        self._counts = ConnectionCounts(listen.connections, listen.proxies)
        super().__init__(_config(app, self._counts))
        self._listen, self._clock = listen, clock
        self._finished = asyncio.Event()
        self._ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say so to who waits in `ready`.

        uvicorn would give a client a minute for the handshake of TLS, so the sockets are opened here.
        """
        await super().startup([])
        encrypted: dict[str, Any] = {}
        if self._listen.certificate is not None:
            encrypted = {
                "ssl": followed_server_context(self._listen.certificate, self._listen.key),
                "ssl_handshake_timeout": LIMITS.tls_s,
                "ssl_shutdown_timeout": LIMITS.tls_s,
            }
        protocol = partial(
            HttpConnection,
            counts=self._counts,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        for each in sockets or ():
            server = await loop.create_server(protocol, sock=each, backlog=_BACKLOG, **encrypted)
            self.servers.append(server)
        self._ready.set()

    async def on_tick(self, counter: int) -> bool:
        """Do what is due ten times a second."""
        should_exit = await super().on_tick(counter)
        date = formatdate(self._clock() / 1000, usegmt=True).encode()
        self.server_state.default_headers = [(b"date", date)]
        return should_exit

    async def ready(self) -> None:
        """Return once connections are taken."""
        await self._ready.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals alone."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until ``should_exit`` is set."""
        try:
            await super().serve(sockets)
        finally:
            self._finished.set()

    async def finished(self, timeout_s: float) -> None:
        """Return once the last connection is closed, or after the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._finished.wait()
        except TimeoutError:
            log.warning("listener_did_not_finish_in_time")

    def stop_accepting(self) -> None:
        """Take no more connections; those that are open go on."""
        for server in getattr(self, "servers", ()):
            server.close()
