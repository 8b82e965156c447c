"""What only Tansu does, the embedded broker that forgets, and what is done about it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.local import specs
from cluster.local.servers import free_port
from roost.errors import Unavailable
from sim.faults.proxy import Proxy
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from tests.contract.test_log import read, values
from tests.real_servers import Servers


async def test_broker_that_crashed_is_unavailable_and_back(servers: Servers, tmp_path: Path) -> None:
    spec = specs.tansu(free_port(), tmp_path)
    server = servers.start(spec)
    admin, writer = KafkaLogAdmin(spec.address), KafkaLogWriter(spec.address, deadline_s=2)
    await admin.start()
    await writer.start()
    await admin.create("mailbox", 1)
    assert await writer.append("mailbox", [(0, b"a")]) == [0]
    reader = KafkaLogReader(spec.address, "mailbox", "routers", fetch_wait_ms=5)
    await reader.start()
    await reader.assign({0: 0})
    assert values(await read(reader, 1)) == {0: [b"a"]}
    servers.kill(server)
    await asyncio.sleep(0.3)  # it tries again and again by now
    await reader.close()
    [answer] = await writer.append("mailbox", [(0, b"b")])
    assert isinstance(answer, Unavailable)
    with pytest.raises(Unavailable):
        await admin.partitions("mailbox")
    servers.start(spec)
    async with asyncio.timeout(10):
        while (found := await _partitions(admin)) is Unavailable:
            await asyncio.sleep(0.05)
    assert found is None, "no one but us recreates the topic"
    await admin.create("mailbox", 1)
    async with asyncio.timeout(20):
        while await writer.append("mailbox", [(0, b"c")]) != [0]:
            await asyncio.sleep(0.05)
    await writer.close()
    await admin.close()


async def _partitions(admin: KafkaLogAdmin) -> object:
    try:
        return await admin.partitions("mailbox")
    except Unavailable:
        return Unavailable


async def test_lost_reply_leaves_the_record_in_the_log(servers: Servers, tmp_path: Path) -> None:
    port = free_port()
    async with Proxy(f"127.0.0.1:{port}") as proxy:
        spec = specs.tansu(port, tmp_path)
        led_through = [each.replace(f"127.0.0.1:{port}", proxy.address) for each in spec.argv[3:5]]
        servers.start(replace(spec, argv=(*spec.argv[:3], *led_through, *spec.argv[5:])))
        bootstrap = proxy.address
        admin, writer = KafkaLogAdmin(bootstrap), KafkaLogWriter(bootstrap, deadline_s=1)
        reader = KafkaLogReader(bootstrap, "mailbox", "routers", fetch_wait_ms=5)
        for client in (admin, writer, reader):
            await client.start()
        await admin.create("mailbox", 1)
        assert await writer.append("mailbox", [(0, b"a")]) == [0]
        with proxy.lost_reply():
            [answer] = await writer.append("mailbox", [(0, b"b")])
            assert isinstance(answer, Unavailable)
        assert proxy.lost
        [answer] = await writer.append("mailbox", [(0, b"c")])
        await reader.assign({0: 0})
        found = values(await read(reader, 3))[0]
        assert found[0] == b"a"
        assert found[-1] == b"c" if isinstance(answer, int) else True
        assert found.count(b"b") >= 1, "its fate was unknown; it took effect, maybe more than once"
        for client in (reader, writer, admin):
            await client.close()


async def test_nothing_is_written_during_a_pause_into_a_log_that_came_back_empty(
    servers: Servers, tmp_path: Path
) -> None:
    """A broker that makes a topic confirms and loses what is written meanwhile: so no one may write then."""
    spec = specs.tansu(free_port(), tmp_path)
    broker = servers.start(spec)
    writer = KafkaLogWriter(spec.address, idempotent=False, deadline_s=20)
    await writer.start()
    async with asyncio.timeout(30):
        await _topic(spec.address)
        assert await writer.append("mailbox", [(0, b"first")]) == [0]
        servers.kill(broker)
        in_flight = asyncio.create_task(writer.append("mailbox", [(0, b"second")]))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await writer.pause()
            [given_up] = await in_flight
        assert isinstance(given_up, Unavailable)
        held = asyncio.create_task(writer.append("mailbox", [(0, b"third")]))
        servers.start(spec)
        await _topic(spec.address)
        reader = KafkaLogReader(spec.address, "mailbox", "group", fetch_wait_ms=5)
        await reader.start()
        await reader.assign({0: 0})
        assert await reader.poll(wait_ms=500, limit=10) == {}
        assert not held.done()
        writer.resume()
        assert await held == [0]
        assert values(await read(reader, 1)) == {0: [b"third"]}
        await reader.close()
        await writer.close()


async def _topic(address: str) -> None:
    admin = KafkaLogAdmin(address)
    await admin.start()
    await admin.create("mailbox", 1)
    await admin.close()
