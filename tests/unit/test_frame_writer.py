"""Frames on their way out of a socket."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from api.stream import actions as do
from api.stream.writer import FrameWriter
from roost import wire
from tests.live.waiting import until_found


@pytest.mark.parametrize("codec", [wire.JSON, wire.MSGPACK])
async def test_of_the_frames_that_are_ready_together_all_but_the_last_say_that_more_follow(
    codec: str,
) -> None:
    written: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        written.append(message)

    writer = FrameWriter(wire.CODECS[codec], send, lambda: 1_000)
    for _ in range(3):
        writer.emit(do.Emit(wire.Pong(1_000)))
    running = asyncio.create_task(writer.run())
    await until_found(lambda: len(written), lambda found: found == 3)
    writer.emit(do.Emit(wire.Pong(1_000)))
    await until_found(lambda: len(written), lambda found: found == 4)
    assert [message["more"] for message in written] == [True, True, False, False]
    writer.client_gone()
    assert await running
