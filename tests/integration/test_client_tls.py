"""Clients' connections with TLS."""

import asyncio
import base64
import hashlib
import re
import ssl
from pathlib import Path

from roost.client import connections
from tests.certificates import Issued

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_GOODBYE = b"\x88\x02\x03\xe8"


async def _slow_to_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the stream as soon as the client does, and do not end TLS."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + _GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await reader.read(100)
    writer.write(_GOODBYE)
    await reader.read()
    writer.transport.abort()


async def test_no_stream_is_left_open_when_the_pool_is_closed(tmp_path: Path) -> None:
    issued = Issued(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*issued.pair("api", "127.0.0.1"))
    server = await asyncio.start_server(_slow_to_end, "127.0.0.1", 0, ssl=context)
    host, port = server.sockets[0].getsockname()
    async with connections(issued.ca) as http:
        stream = await http.ws_connect(f"https://{host}:{port}/stream")
        socket = stream.get_extra_info("socket")
        await stream.close()
        assert socket.fileno() != -1, "it ends TLS in its own time"
    await asyncio.sleep(0)
    assert socket.fileno() == -1
    server.close()
    await server.wait_closed()
