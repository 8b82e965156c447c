"""Inspection of a Kafka cluster: its reports about itself and about our topics. Changes nothing."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition
from msgspec import Struct

from storage.access import OPEN, Access
from storage.kafka_log.client import REQUEST_TIMEOUT_MS, connection, stopped, translated


class TopicInspection(Struct, frozen=True):
    """One topic.

    Attributes:
        partitions: How many there are.
        replicas: Copies of the partition that has fewest.
        in_sync: Copies that are up to date, of the partition that has fewest.
        settings: The topic's settings, as far as the broker tells them.
        firsts: Offset of the oldest record of each partition.
    """

    partitions: int
    replicas: int
    in_sync: int
    settings: dict[str, str]
    firsts: tuple[int, ...]


class LogInspection(Struct, frozen=True):
    """A Kafka cluster.

    Attributes:
        brokers: Their addresses, ``host:port``, as they tell them to clients.
        topics: Those asked about that are there.
    """

    brokers: tuple[str, ...]
    topics: dict[str, TopicInspection]


async def inspect(bootstrap: str, topics: Sequence[str], access: Access = OPEN) -> LogInspection:
    """Ask.

    Args:
        bootstrap: ``host:port[,host:port...]``
        topics: Which topics to look at.
        access: Who signs in, and TLS.

    Raises:
        Unavailable: No broker answers.
    """
    admin: Any = AIOKafkaAdminClient(**connection(bootstrap, access), request_timeout_ms=REQUEST_TIMEOUT_MS)
    with translated():
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
            found = {
                each["topic"]: each["partitions"]
                for each in await admin.describe_topics()
                if each["topic"] in topics and not each["error_code"]
            }
            settings = {topic: await _settings(admin, topic) for topic in found}
        finally:
            await admin.close()
        firsts = await _firsts(
            connection(bootstrap, access), {topic: len(parts) for topic, parts in found.items()}
        )
    return LogInspection(
        tuple(f"{each['host']}:{each['port']}" for each in cluster["brokers"]),
        {
            topic: TopicInspection(
                len(parts),
                min(len(each["replicas"]) for each in parts),
                min(len(each["isr"]) for each in parts),
                settings[topic],
                firsts[topic],
            )
            for topic, parts in found.items()
        },
    )


async def _settings(admin: Any, topic: str) -> dict[str, str]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    entries = [entry for answer in answers for resource in answer.resources for entry in resource[4]]
    return {entry[0]: entry[1] for entry in entries if entry[1] is not None}


async def _firsts(options: dict[str, Any], topics: dict[str, int]) -> dict[str, tuple[int, ...]]:
    if not topics:
        return {}
    consumer: Any = AIOKafkaConsumer(**options, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await consumer.start()
        wanted = [TopicPartition(topic, each) for topic, count in topics.items() for each in range(count)]
        found = await consumer.beginning_offsets(wanted)
    finally:
        await stopped(consumer)
    return {
        topic: tuple(found[TopicPartition(topic, each)] for each in range(count))
        for topic, count in topics.items()
    }
