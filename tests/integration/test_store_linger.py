"""Entries are collected before they are stored; whoever waits for them hurries it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.host.shards.table import ShardTable
from actors.host.shards.tickets import Ticket
from actors.host.writes.writer import Stores, Writer
from actors.offsets import Offsets
from cluster.local import specs
from cluster.local.servers import free_port
from storage.kafka_log import KafkaLogAdmin, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mailbox_rows import Conversation, MailboxDocument
from storage.mongo import MongoStore
from storage.records import ReceiptRecord
from storage.redis.store import RedisStore
from tests.conftest import LogServer
from tests.real_servers import Servers

LINGER_S = 30.0
"""Longer than a test takes: who waited for it would be found out."""


@pytest.fixture
async def store(mongo_url: str, database: str, keyring: KeyRing) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongo_url, database, "motor", keyring)
    await store.prepare()
    yield store
    await store.close()


class World:
    """A writer on real servers, and the offsets of one shard."""

    def __init__(self, store: MongoStore, cache: RedisStore, log: KafkaLogWriter, linger_s: float) -> None:
        self.store, self.log, self.offsets = store, log, Offsets(0)
        self.answered: list[object] = []
        self.writer = Writer(
            Stores(store, cache, log),
            ShardTable(),
            self.finished,
            self.answered.append,
            lambda: 0,
            linger_s,
        )

    def finished(self, tickets: "list[Ticket] | tuple[Ticket, ...]") -> None:
        for ticket in tickets:
            ticket.offsets.done(ticket.offset)

    def enter(self, *numbers: int) -> None:
        for number in numbers:
            self.offsets.begin(number)
            entry = MailboxDocument(
                "bob", number, number - 1, "m", "alice", "ALICEDEVICE", "id", 0, b"record"
            )
            self.writer.entries.add(entry, Ticket(self.offsets, number))

    async def documents(self) -> int:
        return len(await self.store.mailboxes._mailbox.many({"u": "bob", "s": {"$gt": -1}}))


@pytest.fixture
async def world(
    store: MongoStore, redis_url: str, prefix: str, log_server: LogServer, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    cache, log = RedisStore(redis_url, prefix), KafkaLogWriter(log_server.url)
    await log.start()
    world = World(store, cache, log, getattr(request, "param", LINGER_S))
    world.writer.start()
    yield world
    await world.writer.stop()
    await log.close()
    await cache.close()


async def test_neighbours_that_were_collected_are_one_document(world: World) -> None:
    world.enter(0, 1, 2)
    await asyncio.sleep(0)
    world.enter(3)
    assert await world.documents() == 0
    assert world.offsets.stored == 0, "what is collected is not committed"
    world.writer.hurry()
    async with asyncio.timeout(10):
        while world.offsets.stored < 4:
            await asyncio.sleep(0.01)
    assert await world.documents() == 1
    assert [each.seq for each in await world.store.mailboxes.range("bob", -1, 10, 10)] == [0, 1, 2, 3]


async def test_a_read_mark_is_answered_when_its_receipt_is_in_the_log_too(
    store: MongoStore, redis_url: str, prefix: str, servers: Servers, tmp_path: Path
) -> None:
    broker = servers.start(specs.kfake(free_port(), tmp_path))
    cache, log = RedisStore(redis_url, prefix), KafkaLogWriter(broker.spec.address)
    admin = KafkaLogAdmin(broker.spec.address)
    await admin.start()
    await admin.create("mailbox", 1)
    await log.start()
    world = World(store, cache, log, LINGER_S)
    world.writer.start()
    await log.pause()
    world.writer.conversations.put(Conversation("bob", "alice", "alice", my_read_seq=7), None, "token")
    world.writer.receipts.add(ReceiptRecord("alice", "", "bob", "bob", 7, 7, 0), None, "token")
    async with asyncio.timeout(10):
        while not await store.conversations.of_user("bob"):
            await asyncio.sleep(0.01)
    assert not world.answered, "the row is stored, and the peer would never hear of it"
    log.resume()
    async with asyncio.timeout(10):
        while not world.answered:
            await asyncio.sleep(0.01)
    assert world.answered == ["token"]
    await world.writer.stop()
    for each in (log, admin, cache):
        await each.close()
    servers.kill(broker)


async def test_a_stop_writes_what_is_collected(world: World) -> None:
    world.enter(0, 1)
    async with asyncio.timeout(10):
        await world.writer.stop()
    assert await world.documents() == 1


@pytest.mark.parametrize("world", [0.0], indirect=True)
async def test_each_write_takes_what_is_there_without_a_linger(world: World) -> None:
    world.enter(0)
    async with asyncio.timeout(10):
        while world.offsets.stored < 1:
            await asyncio.sleep(0.01)
        world.enter(1)
        while world.offsets.stored < 2:
            await asyncio.sleep(0.01)
    assert await world.documents() == 2
