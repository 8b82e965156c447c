"""The trimmer on the embedded broker and a real store: what goes, and what never does."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cluster.local import specs
from cluster.local.servers import Server, free_port
from cluster.log.trimmer import Trimmer
from storage.cluster_rows import LogState
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mongo import MongoStore
from storage.topics import DEAD, MAILBOX, PUSH
from tests.real_servers import Servers

KEEP_BYTES = 1_000_000
KEEP_S = 3600.0
BASE = 7


@pytest.fixture
def broker(servers: Servers, tmp_path: Path) -> Iterator[Server]:
    started = servers.start(specs.kfake(free_port(), tmp_path, sync=False))
    yield started
    servers.kill(started)


@pytest.fixture
async def store(mongo_url: str, database: str, keyring: KeyRing) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongo_url, database, "motor", keyring)
    await store.prepare()
    await store.cluster.put_log_states([LogState(shard, BASE, 0) for shard in (0, 1)])
    yield store
    await store.close()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trimmer(store: MongoStore, admin: KafkaLogAdmin, clock: Clock) -> Trimmer:
    return Trimmer(store.cluster, admin, KEEP_BYTES, KEEP_S, clock)


@pytest.fixture
async def address(broker: Server, admin: KafkaLogAdmin) -> str:
    """Where there are our topics with two shards."""
    for topic in (MAILBOX, PUSH, *DEAD):
        await admin.create(topic, 2)
    return broker.spec.address


@pytest.fixture
async def writer(address: str) -> AsyncIterator[KafkaLogWriter]:
    writer = KafkaLogWriter(address)
    await writer.start()
    yield writer
    await writer.close()


async def write(writer: KafkaLogWriter, count: int, topic: str = MAILBOX, shard: int = 0) -> int:
    """Append so many records of 1,000 bytes; return where the shard ends."""
    answers = await writer.append(topic, [(shard, os.urandom(1000)) for _ in range(count)])
    assert isinstance(answers[-1], int)
    return answers[-1] + 1


async def test_a_small_young_log_is_not_trimmed(
    trimmer: Trimmer, store: MongoStore, admin: KafkaLogAdmin, writer: KafkaLogWriter, clock: Clock
) -> None:
    await store.cluster.raise_stored(BASE, {0: await write(writer, 100)})
    for _ in range(5):
        await trimmer.look()
        clock.now += 20
    assert await admin.starts(MAILBOX) == {0: 0, 1: 0}


async def test_unstored_records_are_never_trimmed(
    trimmer: Trimmer, store: MongoStore, admin: KafkaLogAdmin, writer: KafkaLogWriter, clock: Clock
) -> None:
    assert await write(writer, 3000) == 3000
    await store.cluster.raise_stored(BASE, {0: 40})
    await trimmer.look()
    for _ in range(4):
        clock.now += KEEP_S
        await trimmer.look()
    assert await admin.starts(MAILBOX) == {0: 39, 1: 0}


async def test_over_the_size_the_oldest_go_and_no_more_than_needed(
    trimmer: Trimmer, store: MongoStore, admin: KafkaLogAdmin, writer: KafkaLogWriter, clock: Clock
) -> None:
    for _ in range(30):
        await store.cluster.raise_stored(
            BASE, {0: await write(writer, 100), 1: await write(writer, 100, shard=1)}
        )
        await trimmer.look()
        clock.now += 20
    starts = await admin.starts(MAILBOX)
    assert starts[0] == starts[1]
    kept = 30 * 100 - starts[0]
    assert 300 < kept <= 600, "half a megabyte of each is about 490 records"
    assert sum((await admin.sizes(MAILBOX)).values()) < KEEP_BYTES * 1.25


async def test_recently_stored_records_stay_for_readers_that_start_there(
    trimmer: Trimmer, store: MongoStore, admin: KafkaLogAdmin, writer: KafkaLogWriter, clock: Clock
) -> None:
    await store.cluster.raise_stored(BASE, {0: await write(writer, 2000)})
    await trimmer.look()
    clock.now += 5
    await trimmer.look()
    assert (await admin.starts(MAILBOX))[0] == 0
    clock.now += 5
    await trimmer.look()
    assert (await admin.starts(MAILBOX))[0] == 1999, "the newest record always stays"


async def test_old_stored_records_are_deleted(
    trimmer: Trimmer, store: MongoStore, admin: KafkaLogAdmin, writer: KafkaLogWriter, clock: Clock
) -> None:
    await store.cluster.raise_stored(BASE, {0: await write(writer, 50)})
    await trimmer.look()
    clock.now += KEEP_S - 1
    await store.cluster.raise_stored(BASE, {0: await write(writer, 50)})
    await trimmer.look()
    assert (await admin.starts(MAILBOX))[0] == 0
    clock.now += 1
    await trimmer.look()
    assert (await admin.starts(MAILBOX))[0] == 49


async def test_wake_ups_stay_until_a_pusher_has_committed_them(
    trimmer: Trimmer, admin: KafkaLogAdmin, broker: Server, writer: KafkaLogWriter, clock: Clock
) -> None:
    await write(writer, 2000, PUSH)
    await trimmer.look()
    clock.now += KEEP_S
    await trimmer.look()
    assert (await admin.starts(PUSH))[0] == 0
    reader = KafkaLogReader(broker.spec.address, PUSH, "pushers")
    await reader.start()
    await reader.assign({0: 0})
    await reader.commit({0: 1500})
    await reader.close()
    await trimmer.look()
    clock.now += KEEP_S
    await trimmer.look()
    assert (await admin.starts(PUSH))[0] == 1499


async def test_positions_noted_in_a_lost_log_do_not_count_for_the_next(
    trimmer: Trimmer, store: MongoStore, admin: KafkaLogAdmin, writer: KafkaLogWriter, clock: Clock
) -> None:
    await store.cluster.raise_stored(BASE, {0: await write(writer, 100)})
    await trimmer.look()
    await writer.pause()
    await admin.delete(MAILBOX)
    await admin.create(MAILBOX, 2)
    writer.resume()
    await store.cluster.put_log_states([LogState(shard, BASE + 2**32, 0) for shard in (0, 1)])
    await write(writer, 100)
    clock.now += KEEP_S
    await trimmer.look()
    assert (await admin.starts(MAILBOX))[0] == 0
