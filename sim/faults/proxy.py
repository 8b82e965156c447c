"""A TCP proxy in front of a server, to break and to slow down what goes through it.

One event loop carries all connections. Bytes are passed on as they come; with a delay they wait in a queue
for each direction, so nothing overtakes.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self, cast

HOST: Final = "127.0.0.1"


class Proxy:
    """Listens on a loopback port of its own and passes every connection on.

    Attributes:
        address: ``host:port`` that it listens on, for as long as it is open.
        target: ``host:port`` that it passes connections on to.
        refuses: Says of a client's port whether its new connections are refused.
        lost: How many replies were lost.
    """

    def __init__(self, target: str = "") -> None:
        self.target = target
        self.refuses: Callable[[int], bool] = lambda _port: False
        self.lost = 0
        self._delay_s = 0.0
        self._loses_replies = False
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        # Bound and never listening: while connections are refused, no other process can take the port.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._place.bind((HOST, 0))
        self._port: int = self._place.getsockname()[1]
        self.address = f"{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def delay_s(self) -> float:
        """Seconds that are added in each direction."""
        return self._delay_s

    async def start(self) -> None:
        """Begin to listen. Idempotent."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._arrived, HOST, self._port, reuse_port=True)

    async def refuse(self) -> None:
        """Cut every connection and refuse new ones, until `heal`."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.cut()
        if server is not None:
            await server.wait_closed()

    def cut(self, which: Callable[[int], bool] = lambda _port: True) -> None:
        """Cut every connection, or those of clients with certain ports; new ones are passed on."""
        for pair in list(self._pairs):
            if which(pair.client_port):
                pair.cut()

    @contextmanager
    def lost_reply(self) -> Iterator[None]:
        """Requests arrive and take effect, replies do not come back: the connection breaks instead."""
        self._loses_replies = True
        try:
            yield
        finally:
            self._loses_replies = False

    def delay(self, round_trip_s: float) -> None:
        """Make every round trip this much longer, half of it in each direction."""
        self._delay_s = round_trip_s / 2

    async def heal(self) -> None:
        """Pass everything on at once again."""
        self._delay_s = 0.0
        await self.start()

    async def close(self) -> None:
        """Cut every connection and give up the port."""
        await self.refuse()
        self._place.close()

    def _arrived(self) -> asyncio.Protocol:
        pair = _Pair(self)
        self._pairs.add(pair)
        return pair.near

    def _loses(self) -> bool:
        self.lost += self._loses_replies
        return self._loses_replies

    def _gone(self, pair: "_Pair") -> None:
        self._pairs.discard(pair)


class _Pair:
    """A connection: the near end is the client's, the far end the server's."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.client_port = 0
        self.near, self.far = _End(self), _End(self)
        self.near.other, self.far.other = self.far, self.near
        self._connecting: asyncio.Task[None] | None = None

    def connect(self) -> None:
        if self.proxy.refuses(self.client_port):
            self.cut()
            return
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        host, _, port = self.proxy.target.rpartition(":")
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.far, host, int(port))
        except OSError:
            self.cut()  # nothing listens there: the client is to see the same

    def cut(self) -> None:
        """End both connections at once, as a dead network does not even manage to say."""
        if self._connecting is not None:
            self._connecting.cancel()
        for end in (self.near, self.far):
            if end.transport is not None:
                end.transport.abort()
        self.ended()

    def ended(self) -> None:
        self.proxy._gone(self)  # noqa: SLF001 -- part of the proxy


class _End(asyncio.Protocol):
    """One of the two sockets: what comes in here goes out at the other end, later if there is a delay."""

    other: "_End"

    def __init__(self, pair: _Pair) -> None:
        self.transport: asyncio.Transport | None = None
        self._pair = pair
        self._late: deque[bytes | None] = deque()
        """What came in and must not go on yet; None: the end of it."""
        self._early: list[bytes | None] = []
        """What came in before the other end was there: Python 3.11 reads on although it was told to pause."""
        self._made = False
        self._last_due = 0.0
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._made = True
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self is self._pair.near:
            self.transport.pause_reading()  # until there is somewhere to put it
            self._pair.client_port = self.transport.get_extra_info("peername")[1]
            self._pair.connect()
        elif self.other.transport is not None:
            early, self.other._early = self.other._early, []  # noqa: SLF001 -- of our own kind
            for data in early:
                self.other._pass_on(data)  # noqa: SLF001 -- likewise
            self.other.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self is self._pair.far and self._pair.proxy._loses():  # noqa: SLF001 -- part of the proxy
            self._pair.cut()
            return
        self._later(data)

    def eof_received(self) -> bool:
        self._later(None)
        return True  # the other direction may still have something to say

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.other.transport is not None:
            self.other.transport.abort() if exc is not None else self.other.transport.close()
        self._pair.ended()

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def _later(self, data: bytes | None) -> None:
        delay = self._pair.proxy.delay_s
        if not delay and not self._late:
            self._pass_on(data)
            return
        loop = asyncio.get_running_loop()
        self._last_due = max(self._last_due, loop.time() + delay)
        self._late.append(data)
        loop.call_at(self._last_due, self._due)

    def _due(self) -> None:
        self._pass_on(self._late.popleft())

    def _pass_on(self, data: bytes | None) -> None:
        if not self.other._made:  # noqa: SLF001 -- of our own kind
            self._early.append(data)
            return
        transport = self.other.transport
        if transport is None or transport.is_closing():
            return
        if data is not None:
            transport.write(data)
        elif self.other._ended:  # noqa: SLF001 -- of our own kind
            transport.close()  # both directions are over, and with our end's `connection_lost` so is this one
        else:
            self._ended = True
            transport.write_eof()
