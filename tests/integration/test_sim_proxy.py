"""The proxy in front of a server, on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sim.faults import proxy as proxies
from sim.faults.proxy import HOST, Proxy
from tests.live.waiting import until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Answers everything in capitals; says goodbye when its client has said so."""

    def __init__(self) -> None:
        self.open = 0
        self.address = ""
        self.server: asyncio.Server

    async def start(self) -> str:
        self.server = await asyncio.start_server(self._serve, HOST, 0)
        return f"{HOST}:{self.server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while data := await reader.read(65_536):
                writer.write(data.upper())
                await writer.drain()
            writer.write(b"BYE")
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo()
    server.address = await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    made = Proxy(echo.address)
    await made.start()
    yield made
    await made.close()


async def dial(proxy: Proxy) -> Streams:
    host, port = proxy.address.split(":")
    return await asyncio.open_connection(host, int(port))


async def asked(streams: Streams, text: bytes) -> bytes:
    streams[1].write(text)
    return await streams[0].readexactly(len(text))


async def shortest(streams: Streams) -> float:
    """Return the least time of a few round trips, in seconds: the machine may be busy in the others."""
    times: list[float] = []
    for _ in range(5):
        began = time.monotonic()
        assert await asked(streams, b"so") == b"SO"
        times.append(time.monotonic() - began)
    return min(times)


async def outcome(reader: asyncio.StreamReader) -> bytes | str:
    """Return what is read until the connection ends, or how it ended."""
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return "reset"


async def test_bytes_sent_before_the_other_end_connects_are_forwarded(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = proxies._Pair.connect

    def later(pair: proxies._Pair) -> None:
        asyncio.get_running_loop().call_later(0.2, at_once, pair)

    monkeypatch.setattr(proxies._Pair, "connect", later)
    reader, writer = await dial(proxy)
    async with asyncio.timeout(5):
        assert await asked((reader, writer), b"early") == b"EARLY"
    writer.close()


async def test_bytes_pass_both_ways_and_in_order(proxy: Proxy) -> None:
    streams = await dial(proxy)
    assert await asked(streams, b"hello") == b"HELLO"
    sent = b"".join(b"%08d" % number for number in range(500_000))  # 4 MB: more than any buffer
    streams[1].write(sent)
    assert await streams[0].readexactly(len(sent)) == sent
    streams[1].close()


async def test_the_end_of_one_direction_leaves_the_other_open(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await dial(proxy)
    writer.write(b"last words")
    writer.write_eof()
    assert await reader.read() == b"LAST WORDSBYE"
    writer.close()
    await until(lambda: "" if not echo.open and not proxy._pairs else "still open", within=5)


async def test_a_delay_is_added_to_each_round_trip_and_nothing_overtakes(proxy: Proxy) -> None:
    streams = await dial(proxy)
    proxy.delay(0.2)
    assert 0.2 <= await shortest(streams) < 0.4
    streams[1].write(b"first ")
    await asyncio.sleep(0.02)
    await proxy.heal()
    assert await asked(streams, b"second") == b"FIRST "
    assert await streams[0].readexactly(6) == b"SECOND"
    assert await shortest(streams) < 0.1
    streams[1].close()


async def test_the_end_does_not_overtake_what_is_late(proxy: Proxy) -> None:
    reader, writer = await dial(proxy)
    proxy.delay(0.2)
    writer.write(b"late")
    writer.write_eof()
    assert await reader.read() == b"LATEBYE"
    writer.close()


async def test_refusing_cuts_what_is_there_and_takes_nothing_new_until_healed(
    proxy: Proxy, echo: Echo
) -> None:
    reader, writer = await dial(proxy)
    assert await asked((reader, writer), b"before") == b"BEFORE"
    await proxy.refuse()
    assert await outcome(reader) in (b"", "reset")
    with pytest.raises(ConnectionRefusedError):
        await dial(proxy)
    await until(lambda: f"{echo.open} open" if echo.open else "", within=5)
    address = proxy.address
    await proxy.heal()
    assert proxy.address == address
    again = await dial(proxy)
    assert await asked(again, b"after") == b"AFTER"
    for each in (writer, again[1]):
        each.close()


async def test_a_server_that_is_away_is_away_behind_the_proxy(proxy: Proxy, echo: Echo) -> None:
    await echo.stop()
    reader, writer = await dial(proxy)
    assert await outcome(reader) in (b"", "reset")
    writer.close()
    assert not proxy._pairs


async def test_a_lost_reply_took_effect_and_breaks_the_connection(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await dial(proxy)
    assert await asked((reader, writer), b"before") == b"BEFORE"
    with proxy.lost_reply():
        writer.write(b"lost")
        assert await outcome(reader) in (b"", "reset")
    assert proxy.lost == 1
    await until(lambda: f"{echo.open} open" if echo.open else "", within=5)
    again = await dial(proxy)
    assert await asked(again, b"after") == b"AFTER"
    for each in (writer, again[1]):
        each.close()


async def test_one_client_is_limited_and_others_are_not(proxy: Proxy) -> None:
    first, second = await dial(proxy), await dial(proxy)
    assert [await asked(each, b"in") for each in (first, second)] == [b"IN", b"IN"]
    barred = first[1].get_extra_info("sockname")[1]
    proxy.refuses = lambda port: port != second[1].get_extra_info("sockname")[1]
    proxy.cut(lambda port: port == barred)
    assert await outcome(first[0]) in (b"", "reset")
    refused = await dial(proxy)
    assert await outcome(refused[0]) in (b"", "reset")
    assert await asked(second, b"still in") == b"STILL IN"
    for each in (first[1], second[1], refused[1]):
        each.close()
