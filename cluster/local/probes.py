"""Whether an embedded server answers: a first request in its own protocol."""

import asyncio
import ssl
import struct
from typing import Final

from cluster.local.server_tls import ServerTls
from cluster.local.servers import HOST


def _context(tls: ServerTls | None) -> ssl.SSLContext | None:
    return None if tls is None else tls.client().context()


async def answers_ping(port: int, tls: ServerTls | None = None) -> bool:
    """Return whether a Redis or Valkey answers, be it only to say that it asks for a password."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=_context(tls))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
    finally:
        writer.close()


_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A whole Kafka request: length, key, version, correlation id, no client id."""


async def answers_kafka(port: int, tls: ServerTls | None = None) -> bool:
    """Return whether a broker answers. kfake listens before it has read its log, and answers afterwards."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=_context(tls))
    except OSError:
        return False
    try:
        writer.write(_API_VERSIONS)
        await reader.readexactly(4)
    except (OSError, asyncio.IncompleteReadError):
        return False
    else:
        return True
    finally:
        writer.close()
