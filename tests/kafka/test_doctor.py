"""``roost doctor`` on Apache Kafka, which tells more than the embedded broker."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cluster.doctor import servers
from cluster.doctor.finding import Finding
from cluster.settings import Settings
from storage.cluster_rows import LogState
from storage.kafka_log import KafkaLogAdmin, KafkaLogWriter
from storage.kafka_log.inspection import LogInspection, inspect

SHARDS = 2
WITHIN_S = 20.0


@pytest.fixture
async def admin(kafka_url: str, topic: str) -> AsyncIterator[Any]:
    """The topic is there, as Roost makes it, with a record in each partition."""
    making = KafkaLogAdmin(kafka_url)
    await making.start()
    await making.create(topic, SHARDS)
    writer = KafkaLogWriter(kafka_url)
    await writer.start()
    assert await writer.append(topic, [(shard, b"x") for shard in range(SHARDS)]) == [0, 0]
    await writer.close()
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_url)
    await client.start()
    yield client
    await client.close()
    await making.delete(topic)
    await making.close()


async def findings(kafka_url: str, topic: str, stored: int) -> dict[str, Finding]:
    """Judge the topic as if it were ``mailbox``, and had been stored up to there."""
    found = await inspect(kafka_url, [topic])
    named = LogInspection(found.brokers, {"mailbox": found.topics[topic]})
    settings = Settings.model_validate({"shards": SHARDS, "kafka": {"url": kafka_url}})
    states = {shard: LogState(shard, 1, stored) for shard in range(SHARDS)}
    return {each.check: each for each in servers.judge_log(named, settings, states)}


async def until(kafka_url: str, topic: str, stored: int, check: str, state: str) -> Finding:
    """Return the finding once it is of this state: a broker shows a changed setting after a moment."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while (found := (await findings(kafka_url, topic, stored))[check]).state != state:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.2)
    return found


async def set_topic(admin: Any, topic: str, **settings: str) -> None:
    changed = {name.replace("_", "."): value for name, value in settings.items()}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=changed)])


@pytest.mark.usefixtures("admin")
async def test_a_topic_as_roost_makes_it_is_well(kafka_url: str, topic: str) -> None:
    found = await findings(kafka_url, topic, stored=0)
    assert {name: each.state for name, each in found.items()} == {
        "kafka": "ok",
        "topics": "ok",
        "copies": "warning",  # one broker
        "retention": "ok",
    }


async def test_records_that_were_deleted_before_they_were_stored(
    admin: Any, kafka_url: str, topic: str
) -> None:
    await admin.delete_records({TopicPartition(topic, 1): RecordsToDelete(before_offset=1)})
    found = await until(kafka_url, topic, 0, "retention", "failed")
    assert "shards [1]" in found.detail
    assert "retention.ms" in found.fix
    assert (await findings(kafka_url, topic, stored=1))["retention"].state == "ok"


@pytest.mark.parametrize(
    ("settings", "check", "state", "word"),
    [
        ({"retention_ms": "3600000"}, "retention", "warning", "retention.ms=604800000"),
        ({"cleanup_policy": "compact"}, "retention", "failed", "cleanup.policy=delete"),
        ({"max_message_bytes": "1048588"}, "topics", "failed", "max.message.bytes="),
    ],
)
async def test_a_topic_with_settings_that_lose_records(
    admin: Any, kafka_url: str, topic: str, settings: dict[str, str], check: str, state: str, word: str
) -> None:
    await set_topic(admin, topic, **settings)
    assert word in (await until(kafka_url, topic, 0, check, state)).fix
