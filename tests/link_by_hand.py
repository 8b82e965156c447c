"""The handshake of a link spoken by hand, as strangers and other releases may speak it."""

import asyncio
import struct

from actors.rpc import handshake
from actors.rpc.handshake import Handshake, Welcome
from actors.rpc.messages import OLDEST_PROTOCOL, PROTOCOL, encode

Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


async def heard(reader: asyncio.StreamReader) -> handshake.Message:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return handshake.decode(await reader.readexactly(length))


def greeting(nonce: bytes, secret: bytes) -> bytes:
    """Return the frame of a gateway that answers a welcome with this nonce."""
    welcome = Welcome(PROTOCOL, OLDEST_PROTOCOL, nonce)
    return framed(encode(Handshake(secret, ("gateway", "me")).take(encode(welcome))))


async def welcomed(address: tuple[str, int]) -> tuple[Side, bytes]:
    """Connect as anybody can; returns the connection and the nonce."""
    reader, writer = await asyncio.open_connection(*address)
    first = await heard(reader)
    assert isinstance(first, Welcome)
    return (reader, writer), first.nonce


async def is_cut_off(side: Side, within_s: float) -> bool:
    """Return whether the other side closes in time."""
    reader, writer = side
    try:
        async with asyncio.timeout(within_s):
            return await reader.read() == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        writer.transport.abort()
