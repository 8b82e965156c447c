"""Committed offsets of a consumer group, kept apart from reading.

Apart, because aiokafka's group coordination dies for good when partitions are reassigned while
it looks for the group's coordinator. Here what is assigned never changes: it serves only to let
commits through, and nothing is ever fetched. Shards that were not there before get a new consumer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from storage.access import Access
from storage.kafka_log.client import REQUEST_TIMEOUT_MS, connection, stopped, translated

_DEADLINE_S: Final = 10.0


class Group:
    """A consumer group's offsets of one topic.

    Args:
        bootstrap: ``host:port[,host:port...]``
        topic: The topic.
        name: The group.
        access: Who signs in, and TLS.
    """

    def __init__(self, bootstrap: str, topic: str, name: str, access: Access) -> None:
        self._bootstrap, self._access = bootstrap, access
        self._topic = topic
        self._name = name
        self._consumer: Any = None
        self._shards: frozenset[int] = frozenset()
        self._changing = asyncio.Lock()

    async def committed(self, shards: Sequence[int]) -> dict[int, int | None]:
        """Return each shard's committed offset, None if there is none."""
        with translated():
            async with asyncio.timeout(_DEADLINE_S):
                consumer = await self._consumer_for(frozenset(shards))
                found = await asyncio.gather(
                    *(consumer.committed(TopicPartition(self._topic, shard)) for shard in shards)
                )
        return dict(zip(shards, found, strict=True))

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset to be read of each shard."""
        if not offsets:
            return
        with translated():
            async with asyncio.timeout(_DEADLINE_S):
                consumer = await self._consumer_for(frozenset(offsets))
                await consumer.commit(
                    {TopicPartition(self._topic, shard): at for shard, at in offsets.items()}
                )

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with translated():
                await stopped(consumer)

    async def _consumer_for(self, shards: frozenset[int]) -> Any:
        async with self._changing:
            if self._consumer is None or not shards <= self._shards:
                await self.close()
                self._shards |= shards
                self._consumer = await self._started()
            return self._consumer

    async def _started(self) -> Any:
        consumer = AIOKafkaConsumer(
            **connection(self._bootstrap, self._access),
            group_id=self._name,
            enable_auto_commit=False,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await consumer.start()
        except BaseException:
            await stopped(consumer)
            raise
        partitions = [TopicPartition(self._topic, shard) for shard in self._shards]
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)  # with a position and paused, it asks the broker for nothing
        consumer.pause(*partitions)
        return consumer
