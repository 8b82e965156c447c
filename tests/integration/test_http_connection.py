"""One HTTP connection, byte by byte: what is carried out, what is refused, and when it ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from api.listener import Listen, Server, bind
from api.server.connection_counts import ConnectionCounts
from api.server.http_connection import HttpConnection
from api.server.limits import LIMITS, ConnectionLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT = ConnectionLimits(head_s=0.3, unread_s=0.3, unread_bytes=300_000)
JSON = b"Content-Type: application/json\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"


class Application:
    """Keeps what it was asked, and answers with it; ``/early`` answers before it reads."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
            return
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        if scope["path"] == "/slow":
            await asyncio.sleep(2.8 * SHORT.head_s)
        self.asked.append((f"{scope['method']} {scope['path']}", body))
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Talk:
    """A client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, *parts: bytes) -> None:
        """Send each part in a packet of its own."""
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def end(self) -> None:
        """Send the end of the stream."""
        self._writer.write_eof()
        await asyncio.sleep(0.05)

    async def head(self) -> bytes:
        """Read the head of an answer."""
        async with asyncio.timeout(5):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, bytes]:
        """Read one answer."""
        head = await self.head()
        lines = head.split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.lower().startswith(b"content-length:"))
        return int(lines[0].split()[1]), await self._reader.readexactly(length)

    async def problem(self) -> tuple[int, str]:
        """Read a problem document."""
        status, body = await self.answer()
        return status, str(json.loads(body)["code"])

    async def closed(self, within_s: float = 5) -> bytes:
        """Read until the server closes; returns what came."""
        try:
            async with asyncio.timeout(within_s):
                return await self._reader.read()
        except ConnectionError:
            return b""


@pytest_asyncio.fixture(loop_scope="module")
async def application() -> Application:
    return Application()


@pytest_asyncio.fixture(loop_scope="module")
async def connect(application: Application, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Serve the application, and return what opens a connection to it."""
    monkeypatch.setattr(HttpConnection, "limits", SHORT)
    listener = bind("127.0.0.1", 0)
    server = Server(application, Listen(port=0))
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Talk]:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            yield Talk(reader, writer)
        finally:
            writer.transport.abort()

    yield opened
    server.should_exit = True
    await serving


def post(length: int, *headers: bytes, path: bytes = b"/echo") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n" % (path, b"".join(headers), length)


OFFERED = {
    "in one packet": [post(5, H2C) + b"hello"],
    "body apart": [post(5, H2C), b"hello"],
    "in small pieces": [(post(5, H2C) + b"hello")[at : at + 37] for at in range(0, 200, 37)],
    "chunked": [POST + H2C + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"],
    "chunks apart": [POST + H2C + CHUNKED + b"\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"],
    "TLS by upgrade": [post(5, b"Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n") + b"hello"],
}


@pytest.mark.attack(
    "smuggle a body behind an offer of another protocol: {row}",
    "the offer is ignored and the body read",
)
@pytest.mark.parametrize("parts", OFFERED.values(), ids=OFFERED)
async def test_an_offer_to_change_the_protocol_is_ignored(
    application: Application, connect: Any, parts: list[bytes]
) -> None:
    async with connect() as talk:
        await talk.say(*parts)
        assert await talk.answer() == (200, b"hello")
        await talk.say(*parts)  # on the same connection
        assert await talk.answer() == (200, b"hello")
    assert application.asked == [("POST /echo", b"hello")] * 2


async def test_many_offers_in_one_packet_are_answered_in_order(connect: Any) -> None:
    async with connect() as talk:
        await talk.say(b"".join(post(3, H2C) + b"%03d" % number for number in range(400)))
        assert [await talk.answer() for _ in range(400)] == [(200, b"%03d" % number) for number in range(400)]


async def test_websockets_are_still_upgraded(connect: Any) -> None:
    async with connect() as talk:
        key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        await talk.say(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n")
        assert (await talk.head()).startswith(b"HTTP/1.1 101 ")
        await talk.say(b"\x88\x80\0\0\0\0")  # an empty close frame
        await talk.closed()


BROKEN = {
    "shorter than it says": [post(50, JSON) + b"{}"],
    "nothing of it": [post(50, JSON)],
    "chunked without its end": [POST + CHUNKED + b"\r\n2\r\n{}\r\n"],
    "within a chunk": [POST + CHUNKED + b"\r\n20\r\n{}"],
    "after an offer": [post(50, H2C) + b"{}"],
    "HTTP/1.0": [b"POST /echo HTTP/1.0\r\nContent-Length: 50\r\n\r\n{}"],
    "behind another request": [post(2, path=b"/slow") + b"{}" + post(50) + b"{}"],
    "a malformed chunk": [POST + CHUNKED + b"\r\n2\r\n{}\r\nzz\r\n"],
}


@pytest.mark.attack("have half a request carried out: {row}", "only a whole body is parsed")
@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN)
async def test_a_request_that_breaks_off_is_not_carried_out(
    application: Application, connect: Any, parts: list[bytes]
) -> None:
    async with connect() as talk:
        await talk.say(*parts)
        await talk.end()
        await talk.closed()
    assert ("POST /echo", b"{}") not in application.asked


LARGE_HEADS = {
    "one header, endless": [GET + b"X: ", *[b"x" * 20_000] * 3],
    "one header, complete": [GET + b"X: " + b"x" * 40_000 + b"\r\n\r\n"],
    "many headers": [GET + b"".join(b"x: %d\r\n" % n for n in range(200)) + b"\r\n"],
    "a long address": [b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"],
    "after another request": [post(2) + b"{}" + b"GET / HTTP/1.1\r\nX: ", *[b"x" * 20_000] * 3],
    "an offer": [post(0, H2C, b"X: " + b"x" * 40_000 + b"\r\n")],
}


@pytest.mark.attack("send a head that is too large: {row}", "32 KiB and 100 headers")
@pytest.mark.parametrize("parts", LARGE_HEADS.values(), ids=LARGE_HEADS)
async def test_a_large_head_is_refused(connect: Any, parts: list[bytes]) -> None:
    async with connect() as talk:
        await talk.say(*parts)
        told = await talk.closed()
    assert b"HTTP/1.1 431 " in told
    assert b'"headers_too_large"' in told
    assert told.count(b"HTTP/1.1 ") == 1 + parts[0].startswith(post(2))


LARGE_TRAILERS = {
    "many": [b"".join(b"x-%d: y\r\n" % n for n in range(2_000))] * 2,
    "one, endless": [b"x: ", b"x" * 20_000, b"x" * 20_000],
}


@pytest.mark.attack(
    "send headers without end behind the last chunk: {row}",
    "what surrounds a body is bounded",
)
@pytest.mark.parametrize("parts", LARGE_TRAILERS.values(), ids=LARGE_TRAILERS)
async def test_what_follows_the_last_chunk_has_bounds(
    application: Application, connect: Any, parts: list[bytes]
) -> None:
    async with connect() as talk:
        await talk.say(POST + CHUNKED + b"\r\n2\r\n{}\r\n", b"0\r\n", *parts)
        assert (await talk.problem()) == (431, "headers_too_large")
        await talk.closed()
    assert application.asked == []


async def test_small_chunks_and_trailers_pass(application: Application, connect: Any) -> None:
    async with connect() as talk:
        for _ in range(2):
            await talk.say(POST + CHUNKED + b"\r\n", *[b"1\r\nx\r\n" * 10_000] * 5, b"0\r\nx: y\r\n\r\n")
            assert await talk.answer() == (200, b"x" * 50_000)
    assert len(application.asked) == 2


async def test_heads_and_bodies_of_good_size_pass(connect: Any) -> None:
    headers = b"".join(b"x-%d: %s\r\n" % (number, b"x" * 300) for number in range(90))
    async with connect() as talk:
        for _ in range(3):
            await talk.say(post(500_000, headers) + b"x" * 500_000)
            assert (await talk.answer())[0] == 200


SLOW = {
    "no word": ([], b""),
    "half a head": ([b"GET / HTTP/1.1\r\nHost"], b"HTTP/1.1 408 "),
    "a head of which more comes": ([b"GET / HTTP/1.1\r\n"] + [b"x: y\r\n"] * 40, b"HTTP/1.1 408 "),
    "empty lines": ([b"\r\n"] * 40, b"HTTP/1.1 408 "),
    "half a head after a request": ([post(2) + b"{}", b"GET /"], b"{}HTTP/1.1 408 "),
}


@pytest.mark.attack("hold a connection open with a slow head: {row}", "a head has 20 s")
@pytest.mark.parametrize(("parts", "told"), SLOW.values(), ids=SLOW)
async def test_a_head_that_does_not_come_ends_the_connection(
    connect: Any, parts: list[bytes], told: bytes
) -> None:
    async with connect() as talk:
        begun = time.monotonic()
        saying = asyncio.create_task(talk.say(*parts))
        assert told in await talk.closed()
        assert time.monotonic() - begun < 10 * SHORT.head_s
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)


async def test_a_request_may_wait_for_its_answer_with_half_a_head_behind_it(connect: Any) -> None:
    async with connect() as talk:
        await talk.say(post(2, path=b"/slow") + b"{}" + b"GET /echo HT")
        assert await talk.answer() == (200, b"{}")
        await asyncio.sleep(0.6 * SHORT.head_s)  # its time begins with the answer
        await talk.say(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert await talk.answer() == (200, b"")


async def test_idle_connections_live_longer_than_those_of_proxies(connect: Any) -> None:
    assert LIMITS.idle_s == 75
    assert Server(None, Listen()).config.timeout_keep_alive == LIMITS.idle_s
    async with connect() as talk:
        for _ in range(2):
            await talk.say(post(2) + b"{}")
            assert await talk.answer() == (200, b"{}")
            await asyncio.sleep(2 * SHORT.head_s)


@pytest.mark.attack(
    "send on after a refusal, to keep the server reading",
    "4 MiB and 10 s are read and dropped, then it closes",
)
async def test_what_follows_an_early_answer_is_dropped_within_bounds(connect: Any) -> None:
    async with connect() as talk:  # the body comes: the connection goes on
        await talk.say(post(200_000, path=b"/early"), b"x" * 200_000)
        assert await talk.answer() == (200, b"")
        await talk.say(post(2) + b"{}")
        assert await talk.answer() == (200, b"{}")
    async with connect() as talk:  # too much of it
        await talk.say(post(900_000, path=b"/early"))
        assert await talk.answer() == (200, b"")
        with pytest.raises(ConnectionError):
            await talk.say(*[b"x" * 40_000] * 20)
    async with connect() as talk:  # it does not come
        await talk.say(post(200_000, path=b"/early"))
        assert await talk.answer() == (200, b"")
        assert await talk.closed(10 * SHORT.unread_s) == b""


@pytest.mark.attack("hold so many connections that others get none", "a bound for each address, then 429")
async def test_one_too_many_connections_of_an_address_is_refused(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConnectionCounts, "key_of", lambda _self, _address: "not this machine")
    listener = bind("127.0.0.1", 0)
    server = Server(application, Listen(port=0, connections=2))
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready()

    async def opened() -> Talk:
        return Talk(*await asyncio.open_connection(*listener.getsockname()))

    first, second = await opened(), await opened()
    for talk in (first, second):
        await talk.say(post(2) + b"{}")
        assert await talk.answer() == (200, b"{}")
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    await first.say(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n")
    assert (await first.head()).startswith(b"HTTP/1.1 101 "), "and counts as one"
    third = await opened()
    assert await third.problem() == (429, "rate_limited")
    await third.closed()
    await first.say(b"\x88\x80\0\0\0\0")
    await first.closed()
    first.close()
    fourth = await opened()
    await fourth.say(post(2) + b"{}")
    assert await fourth.answer() == (200, b"{}")
    for talk in (second, third, fourth):
        talk.close()
    server.should_exit = True
    await serving


NOT_HTTP = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length and chunks": POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "a proxy's CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
}


@pytest.mark.attack("speak something else on the clients' port: {row}", "a strict parser, and one refusal")
@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_http_is_refused_in_the_contracts_form(connect: Any, data: bytes) -> None:
    async with connect() as talk:
        await talk.say(data)
        status, code = await talk.problem()
        assert (status, code) in [(400, "bad_request"), (405, "method_not_allowed")]
        await talk.closed()


async def test_an_answer_is_not_mixed_up_with_the_refusal_of_what_follows(connect: Any) -> None:
    async with connect() as talk:
        await talk.say(post(2, path=b"/slow") + b"{}" + b"rubbish\r\n\r\n")
        assert await talk.answer() == (200, b"{}")
        assert await talk.closed() == b""
