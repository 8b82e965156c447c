"""The administrator of topics: each call returns once every broker asked agrees that it is done."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    NoError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.structs import TopicPartition

from roost.errors import Unavailable
from storage.access import OPEN, Access
from storage.kafka_log.client import MAX_RECORD, REQUEST_TIMEOUT_MS, connection, stopped, translated
from storage.kafka_log.group import Group
from storage.kafka_log.log_dirs import DescribeLogDirs

_DEADLINE_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.05


class KafkaLogAdmin:
    """Implements ``storage.ports.LogAdmin``.

    Args:
        bootstrap: ``host:port[,host:port...]``
        replicas: Copies of each partition: 1 for the embedded broker, 3 for a cluster.
        access: Who signs in, and TLS.
    """

    def __init__(self, bootstrap: str, *, replicas: int = 1, access: Access = OPEN) -> None:
        self._bootstrap, self._replicas, self._access = bootstrap, replicas, access
        self._client: Any = AIOKafkaAdminClient(
            **connection(bootstrap, access), request_timeout_ms=REQUEST_TIMEOUT_MS
        )

    async def start(self) -> None:
        """Connect. Raises ``Unavailable`` if no broker answers."""
        try:
            with translated():
                await self._client.start()
        except BaseException:
            await self._client.close()
            raise

    async def partitions(self, topic: str) -> int | None:
        found = await self._describe(topic)
        return len(found["partitions"]) if found else None

    async def starts(self, topic: str) -> dict[int, int]:
        return await self._offsets(topic, lambda consumer, asked: consumer.beginning_offsets(asked))

    async def ends(self, topic: str) -> dict[int, int]:
        return await self._offsets(topic, lambda consumer, asked: consumer.end_offsets(asked))

    async def _offsets(
        self, topic: str, ask: Callable[[Any, list[TopicPartition]], Awaitable[dict[TopicPartition, int]]]
    ) -> dict[int, int]:
        # Only a consumer can ask for offsets.
        consumer: Any = AIOKafkaConsumer(
            **connection(self._bootstrap, self._access), group_id=None, request_timeout_ms=REQUEST_TIMEOUT_MS
        )
        try:
            with translated():
                async with asyncio.timeout(_DEADLINE_S):
                    await consumer.start()
                    shards = range(await self.partitions(topic) or 0)
                    found = await ask(consumer, [TopicPartition(topic, each) for each in shards])
        finally:
            await stopped(consumer)
        return {partition.partition: offset for partition, offset in found.items()}

    async def create(self, topic: str, partitions: int) -> None:
        settings = {"max.message.bytes": str(MAX_RECORD + 1024 * 1024)}
        if self._replicas > 1:
            settings["min.insync.replicas"] = str(self._replicas - 1)
        wanted = NewTopic(topic, partitions, self._replicas, topic_configs=settings)
        with translated():
            answer = await self._client.create_topics([wanted])
            _expect(answer.topic_errors, TopicAlreadyExistsError)
        await self._until(topic, gone=False)

    async def grow(self, topic: str, partitions: int, *, only_ask: bool = False) -> bool:
        if await self.partitions(topic) == partitions:
            return True
        wanted = {topic: NewPartitions(partitions)}
        with translated():
            try:
                await self._client.create_partitions(wanted, validate_only=only_ask)
            except IncompatibleBrokerVersion:
                return False
        if not only_ask:
            await self._until(topic, gone=False, partitions=partitions)
        return True

    async def delete(self, topic: str) -> None:
        with translated():
            answer = await self._client.delete_topics([topic])
            _expect(answer.topic_error_codes, UnknownTopicOrPartitionError)
        await self._until(topic, gone=True)

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        shards = range(await self.partitions(topic) or 0)
        with translated():
            found = await self._client.list_consumer_group_offsets(
                group, partitions=[TopicPartition(topic, each) for each in shards]
            )
        return {each.partition: at.offset for each, at in found.items() if at.offset >= 0}

    async def commit_starts(self, topic: str, group: str) -> None:
        offsets = Group(self._bootstrap, topic, group, self._access)
        try:
            await offsets.commit(await self.starts(topic))
        finally:
            await offsets.close()

    async def sizes(self, topic: str) -> dict[int, int]:
        shards = range(await self.partitions(topic) or 0)
        sizes: dict[int, int] = {}
        with translated():
            for node in self._client._client.cluster.brokers():  # noqa: SLF001 -- it cannot ask this itself
                answer = await self._client._client.send(node.nodeId, DescribeLogDirs(topic, shards))  # noqa: SLF001
                for shard, size in answer.sizes():
                    sizes[shard] = max(size, sizes.get(shard, 0))  # copies may lag
        return sizes

    async def trim(self, topic: str, offsets: Mapping[int, int]) -> None:
        below = {TopicPartition(topic, shard): RecordsToDelete(at) for shard, at in offsets.items()}
        with translated():
            try:
                await self._client.delete_records(below)
            except OffsetOutOfRangeError:
                return  # of one partition; brokers carry out the others all the same

    async def close(self) -> None:
        with translated():
            await self._client.close()

    async def _until(self, topic: str, *, gone: bool, partitions: int = 1) -> None:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                # The broker tells no one when it is done: it has to be asked again.
                while await self._there(topic) if gone else not await self._writable(topic, partitions):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError as exc:
            state = "still there" if gone else "not writable"
            raise Unavailable(f"The topic {topic} is {state} after {_DEADLINE_S:g} s.") from exc

    async def _there(self, topic: str) -> bool:
        return await self._describe(topic) is not None

    async def _writable(self, topic: str, partitions: int) -> bool:
        found = await self._describe(topic)
        return (
            bool(found)
            and len(found["partitions"]) >= partitions
            and all(
                each["error_code"] == 0 and each["leader"] >= 0 and each["isr"]
                for each in found["partitions"]
            )
        )

    async def _describe(self, topic: str) -> Any:
        """Return the topic's description, None if there is none.

        It asks about all topics: a broker may make an unknown one that it is asked about.
        """
        with translated():
            topics = await self._client.describe_topics()
        return next((each for each in topics if each["topic"] == topic and not each["error_code"]), None)


def _expect(errors: Any, harmless: type[Exception]) -> None:
    for _, code, *_ in errors:
        error = for_code(code)
        if error not in (NoError, harmless):
            raise error
