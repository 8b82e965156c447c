"""Frames of a link: what can wait goes with what comes next, and one that cannot be decoded ends the link."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from actors.rpc import link as links
from actors.rpc import messages as msg
from actors.rpc.handshake import Greeting, Handshake, HandshakeFailed
from actors.rpc.link import SOON_MANY, Link, connect, serve

SECRET = b"secret"


class Heard:
    """One side: keeps the frames that came, by the streams that their messages name."""

    def __init__(self) -> None:
        self.frames: list[list[int]] = []
        self.came = asyncio.Event()

    def opened(self, _link: Link) -> None: ...

    def received(self, _link: Link, messages: list[msg.Ack | msg.Detach]) -> None:
        self.frames.append([each.stream for each in messages])
        self.came.set()

    def closed(self, _link: Link) -> None:
        self.came.set()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, Heard]]:
    heard = Heard()
    server, address = await serve("127.0.0.1", 0, heard, msg.decode_to_host, secret=SECRET)
    link = await connect(address, Heard(), msg.decode_to_host, secret=SECRET, me=("gateway", "gateway-1"))
    try:
        yield link, heard
    finally:
        link.close()
        server.close()
    await server.wait_closed()


async def frame(heard: Heard) -> list[int]:
    """Return the next frame."""
    async with asyncio.timeout(5):
        while not heard.frames:
            heard.came.clear()
            await heard.came.wait()
    return heard.frames.pop(0)


async def test_deferred_messages_share_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "SOON_S", 0.5)
    async with linked() as (link, heard):
        link.send_soon(msg.Ack(1, 10))
        await asyncio.sleep(0.01)
        link.send_soon(msg.Ack(2, 20))
        assert await frame(heard) == [1, 2]
        link.send_soon(msg.Ack(3, 30))
        assert await frame(heard) == [3], "it waits for its own time"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "SOON_S", 60.0)


@pytest.mark.usefixtures("patient")
async def test_a_deferred_frame_goes_out_with_the_next_one_and_before_it() -> None:
    async with linked() as (link, heard):
        link.send_soon(msg.Ack(1, 10))
        await asyncio.sleep(0.01)
        link.send(msg.Detach(2))
        assert await frame(heard) == [1, 2]


@pytest.mark.usefixtures("patient")
async def test_a_large_batch_does_not_wait() -> None:
    async with linked() as (link, heard):
        for number in range(SOON_MANY + 1):
            link.send_soon(msg.Ack(number, 1))
        assert await frame(heard) == list(range(SOON_MANY + 1))


@pytest.mark.usefixtures("patient")
async def test_a_closing_link_sends_what_is_queued_first() -> None:
    async with linked() as (link, heard):
        link.send_soon(msg.Ack(1, 10))
        link.close()
        assert await frame(heard) == [1]


@pytest.mark.parametrize("damage", [b"\xc1", b"\x80"], ids=["not MessagePack", "not UTF-8"])
async def test_a_frame_that_cannot_be_decoded_ends_the_link(damage: bytes) -> None:
    async with linked() as (link, heard):
        link.send(msg.Ack(1, 10))
        assert await frame(heard) == [1]
        heard.came.clear()
        typing = msg.encode([msg.Typing("to", "sender", "?", "typing")])
        body = typing.replace(b"?", damage)
        assert link._transport is not None
        link._transport.write(len(body).to_bytes(4, "big") + body)
        async with asyncio.timeout(5):
            await heard.came.wait()
        assert heard.frames == []


def test_a_greeting_that_cannot_be_decoded_fails_the_handshake() -> None:
    greeting = msg.encode(Greeting(1, 1, "gateway", "?", b"", b"")).replace(b"?", b"\x80")
    with pytest.raises(HandshakeFailed, match="decoded"):
        Handshake(SECRET, None).take(greeting)
