"""A network that blocks WebSockets: who asks for one is refused, everything else passes."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_REFUSED: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Blocking:
    """A proxy in front of a server.

    Attributes:
        target: ``host:port`` of the server.
        refused: How many WebSockets were refused.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.refused = 0

    async def arrived(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass a connection on, unless it begins with the handshake of a WebSocket."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                self.refused += 1
                writer.write(_REFUSED)
                return
            host, _, port = self.target.rpartition(":")
            back, forth = await asyncio.open_connection(host, int(port))
            forth.write(head)
            await asyncio.gather(_pumped(reader, forth), _pumped(back, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the browser has gone, or the server
        finally:
            writer.close()


async def _pumped(source: StreamReader, sink: StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


@asynccontextmanager
async def blocking(url: str) -> AsyncIterator[tuple[Blocking, str]]:
    """Give the proxy, and the address at which the server is behind it."""
    network = Blocking(url.removeprefix("http://"))
    server = await asyncio.start_server(network.arrived, "127.0.0.1", 0)
    try:
        yield network, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
