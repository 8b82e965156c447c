"""One WebSocket connection: what a client makes the server keep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from api.listener import Listen, Server, bind
from api.server.websocket_connection import WebSocketConnection

pytestmark = pytest.mark.asyncio(loop_scope="module")

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING, PONG, TEXT, MORE, CLOSE = 0x89, 0x8A, 0x01, 0x00, 0x88
FINAL = 0x80


def frame(kind: int, content: bytes = b"") -> bytes:
    """A client's frame, with a mask that changes nothing."""
    return bytes([kind, FINAL | len(content)]) + bytes(4) + content


def sent(content: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "websocket.send", "bytes": content, "more": more}


class Application:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.news = asyncio.Event()

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.told.append(message["text"])
            self.news.set()


class Connected:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: WebSocketConnection
    ) -> None:
        self.reader, self.writer, self.server = reader, writer, server

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(10):
            await self.writer.drain()


@pytest_asyncio.fixture(loop_scope="module")
async def application() -> Application:
    return Application()


@pytest_asyncio.fixture(loop_scope="module")
async def connect(application: Application) -> AsyncIterator[Any]:
    listener = bind("127.0.0.1", 0)
    server = Server(application, Listen(port=0))
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Connected]:
        reader, writer = await asyncio.open_connection(*listener.getsockname(), limit=4096)
        try:
            writer.write(HANDSHAKE)
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            [connection] = server.server_state.connections
            assert isinstance(connection, WebSocketConnection)
            yield Connected(reader, writer, connection)
        finally:
            writer.transport.abort()

    yield opened
    server.should_exit = True
    await serving


async def test_a_client_that_reads_gets_every_pong(connect: Any) -> None:
    async with connect() as client:
        for number in range(100):
            await client.say(frame(PING, b"%d" % number))
            head = await client.reader.readexactly(2)
            assert (head[0], await client.reader.readexactly(head[1])) == (PONG, b"%d" % number)


@pytest.mark.attack(
    "fill a gateway's memory with answers to pings",
    "one pong is owed to whoever reads nothing",
)
async def test_a_client_that_reads_nothing_is_owed_one_pong(connect: Any) -> None:
    async with connect() as client:
        pings = frame(PING, b"x" * 125) * 500
        client.writer.transport.pause_reading()
        for _ in range(160):  # 10 MiB: the sockets' buffers hold less
            await client.say(pings)
        assert client.server.transport.get_write_buffer_size() < 512 * 1024
        await client.say(frame(PING, b"last"))
        client.writer.transport.resume_reading()
        data = b""
        async with asyncio.timeout(10):
            while not data.endswith(b"last"):
                data += await client.reader.read(65_536)
        assert len(data) < 9 * 1024 * 1024


@pytest.mark.attack(
    "fill a gateway's memory with fragments of nothing",
    "4,096 fragments are kept as they came",
)
async def test_a_message_in_very_many_fragments_costs_no_more_than_its_bytes(
    application: Application, connect: Any
) -> None:
    async with connect() as client:
        await client.say(frame(TEXT, b"a"))
        for _ in range(30):
            await client.say(frame(MORE, b"b") * 1_000 + frame(MORE) * 1_000)
        for _ in range(100):
            if sum(map(len, client.server.frames)) == 30_001:
                break
            await asyncio.sleep(0.02)
        assert sum(map(len, client.server.frames)) == 30_001
        assert len(client.server.frames) <= 4_096
        await client.say(frame(MORE | FINAL, b"c"))
        async with asyncio.timeout(10):
            await application.news.wait()
    assert application.told == ["a" + "b" * 30_000 + "c"]


async def test_frames_that_go_together_leave_with_the_last_one_in_order(connect: Any) -> None:
    async with connect() as client:
        for number in range(3):
            await client.server.send(sent(b"%d" % number, more=True))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.reader.read(1)
        await client.server.send(sent(b"3", more=False))
        assert await client.reader.readexactly(12) == b"".join(b"\x82\x01%d" % number for number in range(4))
        await client.server.send({"type": "websocket.send", "text": "four", "more": True})
        await client.server.send({"type": "websocket.close"})
        assert (await client.reader.readexactly(10))[:7] == b"\x81\x04four\x88"


async def test_no_more_is_gathered_than_a_write_of_64_kib(connect: Any) -> None:
    async with connect() as client:
        content = b"x" * 30_000
        for number in range(3):
            await client.server.send(sent(content, more=True))
            assert bool(client.server.conn.writes) == (number < 2)
        async with asyncio.timeout(10):
            assert len(await client.reader.readexactly(3 * 30_004)) == 3 * 30_004


async def test_what_is_gathered_comes_before_a_pong(connect: Any) -> None:
    async with connect() as client:
        await client.server.send(sent(b"a", more=True))
        await client.say(frame(PING, b"b"))
        assert await client.reader.readexactly(6) == b"\x82\x01a\x8a\x01b"
