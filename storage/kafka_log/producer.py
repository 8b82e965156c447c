"""The producer of a log writer: connected, given up while it cannot be answered, connected again."""

import asyncio
import contextlib
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    KafkaTimeoutError,
    UnknownError,
    UnknownTopicOrPartitionError,
    UnsupportedVersionError,
)

from storage.access import Access
from storage.kafka_log.client import MAX_RECORD, connection, stopped, translated

_BATCH_BYTES: Final = 900_000
"""Below the 1 MiB that a broker takes unless it is told otherwise."""

_PASSING: Final = (UnknownTopicOrPartitionError, KafkaTimeoutError, AssertionError)
"""Failures after which a producer without idempotence is as good as before."""

_CANNOT: Final = (UnknownError, UnsupportedVersionError, IncompatibleBrokerVersion)
"""What a broker without idempotence answers; any other failure says nothing about that."""

_log = structlog.get_logger(__name__)


class Producer:
    """One of aiokafka's producers at a time.

    Args:
        bootstrap: ``host:port[,host:port...]``
        access: Who signs in, and TLS.
        idempotent: Whether the broker weeds out its clients' repeats; None: where it can.
        timeout_s: How long a request may take.

    Attributes:
        idempotent: Whether it does; None: not known before the first connection.
    """

    def __init__(self, bootstrap: str, access: Access, *, idempotent: bool | None, timeout_s: float) -> None:
        self._bootstrap, self._access = bootstrap, access
        self._timeout_ms = int(timeout_s * 1000)
        self._producer: Any = None
        self.idempotent = idempotent

    async def connect(self) -> None:
        """Connect. Raises ``Unavailable`` if no broker answers."""
        with translated():
            if self.idempotent is not False:
                try:
                    self._producer = await self._started(idempotent=True)
                except _CANNOT:
                    if self.idempotent:
                        raise
                    _log.info("broker_drops_no_repeats")
                else:
                    self.idempotent = True
                    return
            self._producer = await self._started(idempotent=False)
            self.idempotent = False

    async def disconnect(self) -> None:
        """Disconnect; all that was sent has its answer by then."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError):
                await stopped(producer)

    async def abandon(self) -> None:
        """Give up what is in flight, which would be sent for seconds, whenever the log comes back."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # aiokafka can only flush, which waits for the log; so its parts are ended here one by one.
        producer._closed = True  # noqa: SLF001 -- see above
        sender = producer._sender.sender_task  # noqa: SLF001 -- likewise
        sender.cancel()
        await asyncio.sleep(0)
        # It begins nothing more, but waits for what it has asked: as long as a broker that hangs may take.
        # With TLS a connection that is closed waits for the broker's word, too, and for half a minute.
        for each in producer.client._conns.values():  # noqa: SLF001 -- likewise
            if each.connected():
                each._writer.transport.abort()  # noqa: SLF001 -- likewise
        await producer.client.close()
        sender.cancel()
        await asyncio.wait([sender])

    def new_batch(self) -> Any:
        """Return an empty batch, of aiokafka."""
        return self._producer.create_batch()

    def knows(self, topic: str) -> bool:
        """Return whether the partitions of a topic are known; if not, it may take long to learn of them."""
        return bool(self._producer.client.cluster.partitions_for_topic(topic))

    async def send(self, batch: Any, topic: str, partition: int) -> "asyncio.Future[Any]":
        """Send a batch; the future has the broker's answer, or raises.

        Raises:
            KafkaError: It cannot be sent.
            AssertionError: There is no such partition, in aiokafka's words.
        """
        answer: asyncio.Future[Any] = await self._producer.send_batch(batch, topic, partition=partition)
        return answer

    def survives(self, failure: BaseException) -> bool:
        """Return whether it can go on after a failed batch.

        With idempotence a producer cannot go on after a gap in its numbers.
        """
        return not self.idempotent and isinstance(failure, _PASSING)

    async def _started(self, *, idempotent: bool) -> Any:
        producer = AIOKafkaProducer(
            **connection(self._bootstrap, self._access),
            acks="all",
            enable_idempotence=idempotent,
            request_timeout_ms=self._timeout_ms,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_RECORD * 2,
        )
        try:
            await producer.start()
        except BaseException:
            await stopped(producer)
            raise
        return producer
