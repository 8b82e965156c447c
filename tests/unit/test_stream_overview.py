"""What operators are shown of one connection."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from msgspec import Raw, msgpack

from api.stream import actions as do
from api.stream.overview import prefix_of
from api.stream.writer import FrameWriter
from roost import wire
from tests.live.waiting import until_found

ENTRY = msgpack.encode({"seq": 1})


def test_of_an_address_the_network_is_shown() -> None:
    assert prefix_of(("203.0.113.77", 4711)) == "203.0.113.0/24"
    assert prefix_of(("2001:db8:1:2:3::4", 4711)) == "2001:db8:1::/48"
    assert prefix_of(None) == ""


async def test_what_a_client_does_not_read_is_counted_in_bytes_and_time() -> None:
    now_ms, reading = 1_000, asyncio.Event()
    written: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        written.append(message)
        await reading.wait()

    def emit(entry: bytes) -> None:
        writer.emit(do.Emit(wire.Entries([Raw(entry)])))

    writer = FrameWriter(wire.CODECS[wire.MSGPACK], send, lambda: now_ms)
    running = asyncio.create_task(writer.run())
    emit(ENTRY)
    await until_found(lambda: written)
    emit(ENTRY)
    assert writer.queued_bytes == 2 * len(ENTRY)
    assert (writer.stuck_ms(now_ms + 4_000), writer.stuck_ms(now_ms)) == (4_000, 0)
    reading.set()
    await until_found(lambda: writer.queued_bytes, lambda queued: not queued)
    assert (len(written), writer.stuck_ms(now_ms + 4_000)) == (2, 0)
    writer.client_gone()
    assert await running
