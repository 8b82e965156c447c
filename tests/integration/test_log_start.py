"""What ``roost up`` does with an embedded log that it finds, on the broker and a real store."""

from collections.abc import AsyncIterator

import pytest

from cluster.local import specs
from cluster.local.servers import free_port
from cluster.log.numbers import BASE_STEP
from cluster.log.topics import renumber
from storage.cluster_rows import LogState
from storage.kafka_log import KafkaLogAdmin, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mongo import MongoStore
from storage.topics import MAILBOX
from tests.real_servers import Servers

EARLY_MS = 1_767_225_600_000
"""2026-01-01: the clock's numbers begin here."""


@pytest.fixture
async def admin(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaLogAdmin]:
    broker = servers.start(specs.kfake(free_port(), tmp_path_factory.mktemp("broker"), sync=False))
    admin = KafkaLogAdmin(broker.spec.address)
    await admin.start()
    yield admin
    await admin.close()
    servers.kill(broker)


@pytest.fixture
async def store(mongo_url: str, database: str, keyring: KeyRing) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongo_url, database, "motor", keyring)
    await store.prepare()
    yield store
    await store.close()


async def said(admin: KafkaLogAdmin, count: int) -> None:
    """Make the topic, with so many records in its shard 0."""
    await admin.create(MAILBOX, 2)
    writer = KafkaLogWriter(admin._bootstrap)
    await writer.start()
    assert all(isinstance(each, int) for each in await writer.append(MAILBOX, [(0, b"x")] * count))
    await writer.close()
    assert await admin.ends(MAILBOX) == {0: count, 1: 0}


async def test_numbers_are_new_where_everything_is_stored(store: MongoStore, admin: KafkaLogAdmin) -> None:
    await said(admin, 7)
    await store.cluster.put_log_states([LogState(0, 1, 7), LogState(1, 1, 0)])
    assert await renumber(store.cluster, admin, lambda: EARLY_MS)
    assert await store.cluster.log_states() == {
        0: LogState(0, 8 + BASE_STEP, 7, before=((1, 8),)),
        1: LogState(1, 1 + BASE_STEP, 0),
    }
    late_ms = EARLY_MS + 10**9
    assert await renumber(store.cluster, admin, lambda: late_ms)
    assert {state.base for state in (await store.cluster.log_states()).values()} == {2**11 * 10**9}


async def test_unstored_messages_keep_their_number(store: MongoStore, admin: KafkaLogAdmin) -> None:
    await said(admin, 7)
    before = {0: LogState(0, 1, 6), 1: LogState(1, 1, 0)}
    await store.cluster.put_log_states([*before.values()])
    assert not await renumber(store.cluster, admin, lambda: EARLY_MS)
    assert await store.cluster.log_states() == before


async def test_creating_the_log_is_left_to_the_coordinator(store: MongoStore, admin: KafkaLogAdmin) -> None:
    assert not await renumber(store.cluster, admin, lambda: EARLY_MS), "nothing is there"
    await store.cluster.put_log_states([LogState(0, 1, 0), LogState(1, 1, 0)])
    assert not await renumber(store.cluster, admin, lambda: EARLY_MS), "the folder of the log was removed"
    await said(admin, 1)
    await store.cluster.put_phase("recreating")
    assert not await renumber(store.cluster, admin, lambda: EARLY_MS)
    assert (await store.cluster.log_states())[0] == LogState(0, 1, 0)
