"""Promises of Apache Kafka that the embedded broker does not make: it keeps the log, and drops repeats."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.kafka import brokers
from roost.errors import Unavailable
from sim.faults.proxy import Proxy
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from tests.contract.test_log import lost_shards, read, values
from tests.real_servers import Servers

pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def clients(
    url: str, topic: str, shards: int, *, replicas: int = 1, deadline_s: float = 10.0
) -> AsyncIterator[tuple[KafkaLogAdmin, KafkaLogWriter, KafkaLogReader]]:
    """Make the topic; a writer that must be idempotent, and a reader that begins at 0."""
    admin = KafkaLogAdmin(url, replicas=replicas)
    writer = KafkaLogWriter(url, idempotent=True, deadline_s=deadline_s)
    reader = KafkaLogReader(url, topic, "routers", fetch_wait_ms=500)
    started = (admin, writer, reader)
    for client in started:
        await client.start()
    await admin.create(topic, shards)
    await reader.assign(dict.fromkeys(range(shards), 0))
    try:
        yield started
    finally:
        for client in started:
            await client.close()


async def insist(writer: KafkaLogWriter, topic: str, shard: int, value: bytes) -> int:
    """Append again and again until it is confirmed; returns how often it was tried."""
    for tries in itertools.count(1):
        [answer] = await writer.append(topic, [(shard, value)])
        if isinstance(answer, int):
            return tries
        assert isinstance(answer, Unavailable)
        await asyncio.sleep(0.05)
    raise AssertionError


async def test_a_writer_asks_for_idempotence_by_itself(kafka_url: str, tansu_url: str) -> None:
    for url, can in ((kafka_url, True), (tansu_url, False)):
        writer = KafkaLogWriter(url)
        await writer.start()
        assert writer._producer.idempotent is can
        await writer.close()


async def test_a_topic_that_is_gone_is_said_to_be_lost(kafka_url: str, topic: str) -> None:
    async with clients(kafka_url, topic, 3) as (admin, writer, reader):
        await writer.append(topic, [(0, b"a"), (1, b"b")])
        await read(reader, 2)
        await writer.pause()
        await admin.delete(topic)
        assert await lost_shards(reader, 3) == {0, 1, 2}
        assert await admin.partitions(topic) is None, "no one but us recreates the topic"


async def test_a_lost_reply_doubles_nothing(servers: Servers, tmp_path: Path, kafka_version: str) -> None:
    async with Proxy() as proxy:
        shown = {1: proxy.address}
        [spec] = brokers.prepare(tmp_path, version=kafka_version, advertised=shown)
        servers.start(spec)
        proxy.target = spec.address
        async with clients(shown[1], "mailbox", 1) as (_, writer, reader):
            assert await writer.append("mailbox", [(0, b"a")]) == [0]
            with proxy.lost_reply():
                appending = asyncio.create_task(writer.append("mailbox", [(0, b"b"), (0, b"c")]))
                async with asyncio.timeout(5):
                    while proxy.lost < 2:
                        await asyncio.sleep(0.02)
            assert await appending == [1, 2], "it was sent again, and the broker knew it"
            assert await writer.append("mailbox", [(0, b"d")]) == [3]
            assert values(await read(reader, 4)) == {0: [b"a", b"b", b"c", b"d"]}


async def test_a_killed_broker_keeps_what_it_confirmed(
    servers: Servers, tmp_path: Path, kafka_version: str
) -> None:
    [spec] = brokers.prepare(tmp_path, version=kafka_version)
    broker = servers.start(spec)
    async with clients(spec.address, "mailbox", 2, deadline_s=2.0) as (_, writer, reader):
        before = [b"before %d" % n for n in range(300)]
        assert await writer.append("mailbox", [(0, value) for value in before]) == list(range(300))
        servers.kill(broker)
        [answer] = await writer.append("mailbox", [(1, b"while it is away")])
        assert isinstance(answer, Unavailable)
        starting = asyncio.create_task(asyncio.to_thread(servers.start, spec))
        async with asyncio.timeout(60):
            await insist(writer, "mailbox", 0, b"after")
            await starting
            found: list[bytes] = []
            while b"after" not in found:  # the one whose fate is unknown may come as well, to the other shard
                found += values(await read(reader, 1)).get(0, [])
        assert found[:300] == before
        assert set(found[300:]) == {b"after"}, "a try whose fate was unknown may have come, too"


async def test_what_the_retention_removed_is_said_to_be_lost(kafka_url: str, topic: str) -> None:
    async with clients(kafka_url, topic, 2) as (admin, writer, reader):
        await reader.assign({})
        await writer.append(topic, [(0, b"%d" % n) for n in range(10)])
        await retain(kafka_url, topic, ms=300)
        async with asyncio.timeout(20):
            while (await admin.starts(topic))[0] != 10:
                await asyncio.sleep(0.1)
        assert await writer.append(topic, [(1, b"of another shard")]) == [0]
        await reader.assign({0: 0, 1: 0})
        assert values(await read(reader, 1)) == {1: [b"of another shard"]}
        assert await lost_shards(reader, 1) == {0}
        assert await reader.starts([0]) == {0: 10}
        await retain(kafka_url, topic, ms=3_600_000)
        await reader.assign({})
        await reader.assign({0: 10})
        assert await writer.append(topic, [(0, b"next")]) == [10]
        assert values(await read(reader, 1)) == {0: [b"next"]}


async def retain(url: str, topic: str, *, ms: int) -> None:
    """Let the topic keep records for so long."""
    admin = AIOKafkaAdminClient(bootstrap_servers=url)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": str(ms)})])
    await admin.close()


async def leaders(url: str, topic: str) -> dict[int, int]:
    """Return the number of the broker that leads each partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=url)
    await admin.start()
    found: list[Any] = []
    async with asyncio.timeout(10):
        while not found:  # not every broker knows a new topic at once
            found = [each for each in await admin.describe_topics() if each["topic"] == topic]
    await admin.close()
    return {each["partition"]: each["leader"] for each in found[0]["partitions"]}
