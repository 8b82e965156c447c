"""A health probe of a MongoDB server: one read, over a socket of its own, without a driver.

A driver would keep connections, monitor threads and retries for what is one question and one answer.
"""

import asyncio
import struct
from typing import Any, Final

import bson

_WITHIN_S: Final = 3.0
_OP_MSG: Final = 2013
_HEAD: Final = struct.Struct("<iiii")
_SECTION: Final = struct.Struct("<IB")
_INTERNAL_ERROR: Final = 1


async def refuses_reads(host: str, port: int, database: str, collection: str) -> bool:
    """Return whether the server answers a read with an internal error.

    A storage engine that could not write, for want of room say, may refuse everything until it is started
    again. A server that is away, slow, or refuses for a reason of its own, is not meant.
    """
    question = bson.encode({"find": collection, "limit": 1, "singleBatch": True, "$db": database})
    length = _HEAD.size + _SECTION.size + len(question)
    try:
        async with asyncio.timeout(_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_HEAD.pack(length, 1, 0, _OP_MSG) + _SECTION.pack(0, 0) + question)
                length, *_ = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                answer = await reader.readexactly(length - _HEAD.size)
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError):
        return False
    found: dict[str, Any] = bson.decode(answer[_SECTION.size :])
    return found.get("code") == _INTERNAL_ERROR
