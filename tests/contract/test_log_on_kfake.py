"""What only the embedded broker is asked to do: to keep what it confirmed, and to let go what may go."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import psutil
import pytest

from cluster.local import specs
from cluster.local.servers import Server, ServerFailed, ServerSpec, free_port
from roost.errors import Unavailable
from sim.faults.proxy import Proxy
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.kafka_log.inspection import inspect
from storage.ports import LogLost
from storage.topics import TOPICS
from tests.contract.test_log import read, values
from tests.real_servers import Servers

SEGMENT = 8 * 2**20


@pytest.fixture
def spec(tmp_path: Path) -> ServerSpec:
    return specs.kfake(free_port(), tmp_path)


@pytest.fixture
def broker(servers: Servers, spec: ServerSpec) -> Iterator[Server]:
    started = servers.start(spec)
    yield started
    servers.kill(started)


async def test_a_broker_without_our_topics_is_inspected(broker: Server) -> None:
    found = await inspect(broker.spec.address, TOPICS)
    assert (found.brokers, found.topics) == ((broker.spec.address,), {})


@pytest.fixture
async def address(admin: KafkaLogAdmin, broker: Server) -> str:
    """Where there is a topic with two shards."""
    await admin.create("mailbox", 2)
    return broker.spec.address


@pytest.fixture
async def writer(address: str) -> AsyncIterator[KafkaLogWriter]:
    writer = KafkaLogWriter(address, deadline_s=8)
    await writer.start()
    yield writer
    await writer.close()


@pytest.fixture
async def reader(address: str) -> AsyncIterator[KafkaLogReader]:
    reader = KafkaLogReader(address, "mailbox", "routers", lost_after_s=0.1)
    await reader.start()
    yield reader
    await reader.close()


async def append(writer: KafkaLogWriter, values: list[bytes], shard: int = 0) -> list[int]:
    answers = await writer.append("mailbox", [(shard, value) for value in values])
    offsets = [each for each in answers if isinstance(each, int)]
    assert len(offsets) == len(values), answers
    return offsets


class Talk:
    """Eight who write to both shards without a pause, and what was confirmed to them."""

    def __init__(self, writer: KafkaLogWriter) -> None:
        self._writer = writer
        self._numbers = count()
        self.confirmed: dict[int, dict[int, bytes]] = {0: {}, 1: {}}
        self._tasks = [asyncio.create_task(self._one()) for _ in range(8)]

    async def _one(self) -> None:
        while True:
            items = [(shard, b"%d" % next(self._numbers)) for shard in (0, 1) for _ in range(5)]
            answers = await self._writer.append("mailbox", items)
            for (shard, value), offset in zip(items, answers, strict=True):
                if isinstance(offset, int):
                    self.confirmed[shard][offset] = value

    async def more(self, records: int) -> None:
        """Return when so many more were confirmed."""
        before = len(self.confirmed[0])
        async with asyncio.timeout(20):
            while len(self.confirmed[0]) < before + records:
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def all_of(reader: KafkaLogReader, ends: dict[int, int]) -> dict[int, dict[int, bytes]]:
    """Read both shards, at least so far."""
    found: dict[int, dict[int, bytes]] = {0: {}, 1: {}}
    await reader.assign(dict.fromkeys(ends, 0))
    async with asyncio.timeout(20):
        while any(end not in found[shard] for shard, end in ends.items()):
            for shard, records in (await reader.poll(wait_ms=100, limit=1000)).items():
                found[shard] |= {each.offset: each.value for each in records}
    return found


@pytest.mark.parametrize("sync", [True, False])
async def test_confirmed_records_survive_kill_9(servers: Servers, tmp_path: Path, *, sync: bool) -> None:
    """Also with the setting that spares the disk: then only the machine's own crash costs something."""
    spec = specs.kfake(free_port(), tmp_path, sync=sync)
    broker = servers.start(spec)
    admin, writer = KafkaLogAdmin(spec.address), KafkaLogWriter(spec.address, deadline_s=2)
    reader = KafkaLogReader(spec.address, "mailbox", "routers")
    for client in (admin, writer, reader):
        await client.start()
    await admin.create("mailbox", 2)
    talk = Talk(writer)
    for _ in range(3):
        await talk.more(500)
        servers.kill(broker)
        broker = servers.start(spec)
    await talk.more(500)
    await talk.end()
    there = await all_of(reader, {shard: max(talk.confirmed[shard]) for shard in (0, 1)})
    for shard in (0, 1):
        assert talk.confirmed[shard].items() <= there[shard].items()
        assert sorted(there[shard]) == list(range(len(there[shard]))), "offsets go on without a gap"
    for client in (writer, reader, admin):
        await client.close()
    servers.kill(broker)


async def test_a_batch_that_is_sent_again_is_in_the_log_once(servers: Servers, tmp_path: Path) -> None:
    port = free_port()
    async with Proxy(f"127.0.0.1:{port}") as proxy:
        broker = servers.start(specs.kfake(port, tmp_path, advertised=proxy.address))
        bootstrap = proxy.address
        admin, writer = KafkaLogAdmin(bootstrap), KafkaLogWriter(bootstrap, deadline_s=10)
        reader = KafkaLogReader(bootstrap, "mailbox", "routers")
        for client in (admin, writer, reader):
            await client.start()
        await admin.create("mailbox", 1)
        assert await append(writer, [b"a"]) == [0]
        with proxy.lost_reply():
            sending = asyncio.create_task(append(writer, [b"b"]))
            async with asyncio.timeout(5):
                while not proxy.lost:
                    await asyncio.sleep(0.01)
        assert await sending == [1]
        assert await append(writer, [b"c"]) == [2]
        await reader.assign({0: 0})
        assert values(await read(reader, 3)) == {0: [b"a", b"b", b"c"]}
        for client in (reader, writer, admin):
            await client.close()
        servers.kill(broker)


async def test_trimmed_records_are_gone_and_the_rest_remains(
    admin: KafkaLogAdmin, writer: KafkaLogWriter, reader: KafkaLogReader
) -> None:
    await append(writer, [b"%d" % n for n in range(10)])
    await admin.trim("mailbox", {0: 4, 1: 0})
    assert await admin.starts("mailbox") == {0: 4, 1: 0}
    await admin.trim("mailbox", {0: 2})
    await admin.trim("mailbox", {0: 11, 1: 7})
    assert await admin.starts("mailbox") == {0: 4, 1: 0}, "below the start and beyond the end nothing changes"
    await reader.assign({0: 4})
    assert values(await read(reader, 6)) == {0: [b"%d" % n for n in range(4, 10)]}
    await reader.assign({})
    await reader.assign({0: 3})
    with pytest.raises(LogLost):
        await read(reader, 1)


async def test_trimming_frees_the_disk_and_the_end_outlives_a_crash(
    servers: Servers, broker: Server, admin: KafkaLogAdmin, writer: KafkaLogWriter, tmp_path: Path
) -> None:
    for _ in range(12):
        await append(writer, [os.urandom(700_000) for _ in range(4)])
    [big, none] = [(await admin.sizes("mailbox"))[shard] for shard in (0, 1)]
    assert (big > 12 * 4 * 700_000, none) == (True, 0)
    assert on_disk(tmp_path) > 4 * SEGMENT
    await admin.trim("mailbox", {0: 47})
    assert (await admin.sizes("mailbox"))[0] < 800_000
    assert on_disk(tmp_path) <= SEGMENT + 3_000_000, "one file is still written to"
    servers.kill(broker)
    again = servers.start(broker.spec)
    assert await append(writer, [b"next"]) == [48]
    servers.kill(again)


async def test_nothing_is_kept_in_memory_for_what_was_trimmed(
    broker: Server, admin: KafkaLogAdmin, writer: KafkaLogWriter
) -> None:
    grown: list[int] = []
    for _ in range(4):
        for _ in range(10):
            offsets = await append(writer, [os.urandom(500_000) for _ in range(5)])
        await admin.trim("mailbox", {0: offsets[-1]})
        grown.append(psutil.Process(broker.pid).memory_info().rss)
    assert grown[-1] < grown[0] + 40_000_000, grown


async def test_a_pause_waits_a_second_for_a_broker_that_hangs(writer: KafkaLogWriter, broker: Server) -> None:
    assert await append(writer, [b"before"]) == [0]
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        hanging = asyncio.create_task(writer.append("mailbox", [(0, b"lost"), (1, b"lost")]))
        async with asyncio.timeout(4):
            while not writer._in_flight:
                await asyncio.sleep(0.01)
            await writer.pause()
        assert all(isinstance(each, Unavailable) for each in await hanging)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    writer.resume()
    [offset] = await append(writer, [b"after"])
    assert offset in {1, 2}, "what was given up may be in the log"


async def test_groups_are_kept(
    servers: Servers, broker: Server, admin: KafkaLogAdmin, writer: KafkaLogWriter, reader: KafkaLogReader
) -> None:
    assert await admin.committed("mailbox", "routers") == {}
    await append(writer, [b"a", b"b"])
    await reader.assign({0: 0, 1: 0})
    await reader.commit({0: 2})
    assert await admin.committed("mailbox", "routers") == {0: 2}
    servers.kill(broker)
    again = servers.start(broker.spec)
    async with asyncio.timeout(10):
        while (found := await committed(admin)) is None:
            await asyncio.sleep(0.05)
    assert found == {0: 2}
    servers.kill(again)


async def committed(admin: KafkaLogAdmin) -> dict[int, int] | None:
    try:
        return await admin.committed("mailbox", "routers")
    except Unavailable:
        return None


async def test_an_orderly_end_keeps_where_the_log_begins(
    servers: Servers, broker: Server, admin: KafkaLogAdmin, writer: KafkaLogWriter
) -> None:
    await append(writer, [b"%d" % n for n in range(10)])
    await admin.trim("mailbox", {0: 9})
    os.kill(broker.pid, signal.SIGTERM)
    async with asyncio.timeout(10):
        while psutil.pid_exists(broker.pid) and broker.running:
            await asyncio.sleep(0.01)
    again = servers.start(broker.spec)
    assert await append(writer, [b"10"]) == [10]
    assert (await admin.starts("mailbox"))[0] == 9
    servers.kill(again)


async def test_a_second_broker_waits_for_the_folder(
    servers: Servers, broker: Server, spec: ServerSpec
) -> None:
    second = replace(
        spec,
        argv=tuple(each.replace(str(spec.port), str(free_port())) for each in spec.argv),
        ready_s=0.5,
    )
    port = int(second.argv[second.argv.index("-listen") + 1].rsplit(":", 1)[1])
    with pytest.raises(ServerFailed, match="did not answer"):
        servers.start(replace(second, port=port))
    servers.kill(broker)
    assert servers.start(replace(second, port=port, ready_s=5)).running


def on_disk(folder: Path) -> int:
    return sum(each.stat().st_blocks * 512 for each in folder.rglob("*.dat"))
