"""The log writer: one batch in flight per shard, so that nothing is overtaken."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple

import structlog
from aiokafka.errors import KafkaConnectionError, KafkaError

from roost.errors import RoostError, Unavailable
from roost.tasks import BackgroundTasks
from storage.access import OPEN, Access
from storage.kafka_log.client import MAX_RECORD, away
from storage.kafka_log.producer import Producer
from telemetry import metrics

_PAUSE_S: Final = 1.0
"""What is in flight when a pause begins has this long to be answered."""

_log = structlog.get_logger(__name__)

_Shard = tuple[str, int]
"""Topic and partition."""


class _Call:
    """One ``append``: collects the outcome of each item.

    Attributes:
        failed: Shards that did not take one of its items: they take none that comes behind it.
    """

    __slots__ = ("abandoned", "done", "failed", "outcomes", "waiting")

    def __init__(self, items: int) -> None:
        self.outcomes: list[int | Exception | None] = [None] * items
        self.waiting = items
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.abandoned = False
        self.failed: set[_Shard] = set()

    def settle(self, index: int, outcome: int | Exception) -> None:
        if self.outcomes[index] is None:
            self.outcomes[index] = outcome
            self.waiting -= 1
            if not self.waiting and not self.done.done():
                self.done.set_result(None)


class _Item(NamedTuple):
    value: bytes
    call: _Call
    place: int


class KafkaLogWriter:
    """Implements ``storage.ports.LogWriter``.

    Each shard has a queue. What waits in it goes out as one batch as soon as the batch before it is
    answered: few records wait for nothing, many ride together, and a later call cannot pass an
    earlier one. (aiokafka's own ``send`` costs 9 us a record at 400 records a call, a batch 2.4.)

    Args:
        bootstrap: ``host:port[,host:port...]``
        idempotent: Whether the broker weeds out its clients' repeats; None: where it can.
        linger_ms: How long to gather before a batch goes out.
        deadline_s: After this an item's fate is given up as unknown.
        access: Who signs in, and TLS.

    Attributes:
        batches: Appended so far.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        idempotent: bool | None = None,
        linger_ms: float = 0,
        deadline_s: float = 10.0,
        access: Access = OPEN,
    ) -> None:
        self._linger_s = linger_ms / 1000
        self._deadline_s = deadline_s
        # A batch is given up before its items are.
        self._producer = Producer(bootstrap, access, idempotent=idempotent, timeout_s=deadline_s * 0.8)
        self._queues: dict[_Shard, deque[_Item]] = {}
        self._ends: dict[_Shard, int] = {}
        self.batches = 0
        self._in_flight: dict[_Shard, list[_Item]] = {}
        self._handing = BackgroundTasks()
        self._loops = BackgroundTasks()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._paused = False
        self._broken = False

    async def start(self) -> None:
        """Connect. Raises ``Unavailable`` if no broker answers."""
        await self._producer.connect()
        self._loops.spawn(self._pump(), "log writer", essential=True)

    async def append(self, topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        call = _Call(len(items))
        for index, (shard, value) in enumerate(items):
            if len(value) > MAX_RECORD:
                call.settle(index, RoostError("too_large", f"A record may be at most {MAX_RECORD} bytes."))
                continue
            self._queues.setdefault((topic, shard), deque()).append(_Item(value, call, index))
        self._work.set()
        try:
            if call.waiting:
                async with asyncio.timeout(self._deadline_s):
                    await call.done
        except TimeoutError:
            late = Unavailable("The log did not confirm the record in time.")
            return [late if outcome is None else outcome for outcome in call.outcomes]
        finally:
            call.abandoned = True  # what still waits in a queue need not be sent any more
        return [outcome for outcome in call.outcomes if outcome is not None]

    async def pause(self) -> None:
        self._paused = True
        try:
            async with asyncio.timeout(_PAUSE_S):
                await self._idle.wait()
        except TimeoutError:
            await self._abandon()

    def resume(self) -> None:
        self._paused = False
        # The log may be another one by now, which takes a producer's first batch only as its number 0.
        self._broken |= bool(self._producer.idempotent)
        self._work.set()

    def forget(self, recreated: Mapping[str, Iterable[int]]) -> None:
        gone = {(topic, shard) for topic, shards in recreated.items() for shard in shards}
        self._ends = {place: end for place, end in self._ends.items() if place not in gone}

    def renumber(self) -> None:
        self._refuse_waiting("The number of shards has changed; send the message again.")
        # A producer knows the partitions that were there when it began.
        self._broken = True

    def ends(self, topic: str) -> dict[int, int]:
        return {shard: end for (name, shard), end in self._ends.items() if name == topic}

    async def close(self) -> None:
        if self._loops:
            await self._flush()
            await self._loops.cancel()
        await self._producer.disconnect()
        self._refuse_waiting("The log writer was closed.")

    async def _flush(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._deadline_s):
                while self._in_flight or (any(self._queues.values()) and not self._paused):
                    self._idle.clear()
                    await self._idle.wait()

    def _refuse_waiting(self, reason: str) -> None:
        for queue in self._queues.values():
            while queue:
                item = queue.popleft()
                item.call.settle(item.place, Unavailable(reason))

    async def _abandon(self) -> None:
        self._broken = True
        await self._handing.cancel()
        await self._producer.abandon()
        for shard, items in list(self._in_flight.items()):
            self._settle(shard, items, KafkaConnectionError("given up"))

    async def _pump(self) -> None:
        while True:
            await self._work.wait()
            if self._linger_s:
                await asyncio.sleep(self._linger_s)
            self._work.clear()
            if not self._paused:
                await self._send_ready()
            if not self._in_flight:
                self._idle.set()

    async def _send_ready(self) -> None:
        if self._broken and not await self._repaired():
            return
        for shard, queue in list(self._queues.items()):
            if shard not in self._in_flight and queue and not self._paused:
                await self._send(shard, queue)

    async def _send(self, shard: _Shard, queue: deque[_Item]) -> None:
        batch = self._producer.new_batch()
        items = _fill(batch, shard, queue)
        if not items:
            return
        self._in_flight[shard] = items
        self._idle.clear()
        handing = self._hand_over(shard, items, batch)
        if self._producer.knows(shard[0]):
            await handing
        else:  # it may take long to learn of the topic; the others need not wait for that
            self._handing.spawn(handing)

    async def _hand_over(self, shard: _Shard, items: list[_Item], batch: Any) -> None:
        began = monotonic()
        try:
            sent = await self._producer.send(batch, *shard)
        except Exception as exc:  # noqa: BLE001 -- aiokafka raises AssertionError for an unknown partition, too
            self._settle(shard, items, exc)
            return
        sent.add_done_callback(lambda done: self._answered(shard, items, done, began))

    def _answered(self, shard: _Shard, items: list[_Item], done: "asyncio.Future[Any]", began: float) -> None:
        if done.cancelled():
            self._settle(shard, items, asyncio.CancelledError())
        elif (exc := done.exception()) is not None:
            self._settle(shard, items, exc)
        else:
            metrics.LOG_APPEND_RECORDS.observe(len(items))
            metrics.LOG_APPEND_SECONDS.observe(monotonic() - began)
            self._settle(shard, items, done.result().offset)

    def _settle(self, shard: _Shard, items: list[_Item], outcome: int | BaseException) -> None:
        self._in_flight.pop(shard, None)
        if isinstance(outcome, int):
            self._ends[shard] = outcome + len(items)
            self.batches += 1
            for offset, item in enumerate(items, outcome):
                item.call.settle(item.place, offset)
        else:
            self._broken |= not self._producer.survives(outcome)
            error = away(outcome)
            error.__cause__ = outcome
            for item in items:
                item.call.failed.add(shard)
                item.call.settle(item.place, error)
        self._work.set()

    async def _repaired(self) -> bool:
        """Replace the producer once nothing is in flight; says whether there is one."""
        if self._in_flight:
            return False
        await self._producer.disconnect()
        try:
            await self._producer.connect()
        except (Unavailable, KafkaError) as exc:
            _log.warning("log_writer_cannot_connect", error=type(exc).__name__)
            asyncio.get_running_loop().call_later(0.5, self._work.set)
            return False
        self._broken = False
        return True


def _fill(batch: Any, shard: _Shard, queue: deque[_Item]) -> list[_Item]:
    """Move what fits from the queue into the batch, and nothing that came behind what was not taken."""
    items: list[_Item] = []
    while queue:
        item = queue[0]
        if shard in item.call.failed:
            item.call.settle(
                item.place, Unavailable("The log did not accept an earlier record of this shard.")
            )
        elif not item.call.abandoned:
            if batch.append(key=None, value=item.value, timestamp=None) is None:
                break
            items.append(item)
        queue.popleft()
    return items
