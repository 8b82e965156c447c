"""The log reader: reads the shards it is given and never skips; records that are gone are reported."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from storage.access import OPEN, Access
from storage.kafka_log.client import MAX_RECORD, REQUEST_TIMEOUT_MS, away, connection, stopped, translated
from storage.kafka_log.group import Group
from storage.ports import Contact, LogLost, LogRecord

log = structlog.get_logger()

_DEADLINE_S: Final = 10.0

_QUIET_S: Final = 0.8
"""More than the time that a broker may hold an empty fetch: after this long one is asked."""

_ASK_S: Final = 0.6
_LONG_WAIT_MS: Final = 100
"""Where an empty fetch waits as long, the broker is asked where a shard ends. Tansu would answer wrongly, and
is not let wait."""

_STREAK_S: Final = 1.0
"""A pause between two answers that is longer than this counts as one without answers."""

GAP_PATIENCE_S: Final = 30.0
"""How long records that are missing between others are asked for again before they count as gone."""


class KafkaLogReader:
    """Implements ``storage.ports.LogReader`` without the group protocol; offsets go to the group.

    Args:
        bootstrap: ``host:port[,host:port...]``
        topic: What to read.
        group: The group that offsets are committed to: ``routers`` or ``pushers``.
        fetch_wait_ms: How long the broker holds an empty fetch. It answers as soon as there is something;
            only Tansu always waits this long, so give a few milliseconds there.
        lost_after_s: How long a high watermark below our position or below what it was, or a topic that no
            broker knows, must last before the log counts as lost. It is not zero because a new leader's
            watermark may lag for a moment.
        access: Who signs in, and TLS.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        group: str,
        *,
        fetch_wait_ms: int = 500,
        lost_after_s: float = 1.0,
        access: Access = OPEN,
    ) -> None:
        self._bootstrap, self._topic, self._fetch_wait_ms = bootstrap, topic, fetch_wait_ms
        self._access = access
        self._consumer: Any = None
        self._group = Group(bootstrap, topic, group, access)
        self._lost_after_s = lost_after_s
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._paused: set[int] = set()
        self._short_since: dict[int, float] = {}
        self._gap_since: dict[int, float] = {}
        self._gone_since: float | None = None
        self._lost: set[int] = set()
        self._stamps: dict[int, int | None] = {}
        self._answered = self._answering_since = 0.0
        self._now: Callable[[], float] = lambda: asyncio.get_running_loop().time()

    async def start(self) -> None:
        """Connect. Raises ``Unavailable`` if no broker answers."""
        self._consumer = await self._started()
        self._answered = self._answering_since = self._now()

    async def start_over(self) -> None:
        # Each log has a consumer of its own: what the one before has fetched, or is fetching,
        # cannot be taken for the new log's.
        fresh = await self._started()
        before, self._consumer = self._consumer, fresh
        for known in (self._positions, self._ends, self._short_since, self._gap_since, self._stamps):
            known.clear()
        self._paused.clear()
        self._lost.clear()
        self._gone_since = None
        with translated():
            await stopped(before)

    async def assign(self, shards: Mapping[int, int]) -> None:
        self._positions = {shard: self._positions.get(shard, offset) for shard, offset in shards.items()}
        self._ends = {shard: end for shard, end in self._ends.items() if shard in shards}
        self._paused &= set(shards)
        self._short_since.clear()
        self._gap_since.clear()
        self._lost.clear()
        self._gone_since = None
        if not shards:
            # Not `unsubscribe`: aiokafka's fetcher dies for good when that comes right after an assignment.
            self._consumer.pause(*self._consumer.assignment())
            return
        self._consumer.assign([self._partition(shard) for shard in shards])
        for shard, offset in self._positions.items():
            self._consumer.seek(self._partition(shard), offset)
        self._consumer.pause(*map(self._partition, self._paused))
        await self._ask_ends()

    async def committed(self, shards: Sequence[int]) -> dict[int, int | None]:
        return await self._group.committed(shards)

    async def poll(self, *, wait_ms: int, limit: int) -> dict[int, list[LogRecord]]:
        if not self._positions:
            await asyncio.sleep(wait_ms / 1000)
            return {}
        if self._lost:  # found last time, along with records of other shards
            lost, self._lost = self._lost, set()
            raise LogLost(tuple(sorted(lost)))
        found, lost = await self._fetched(wait_ms, limit)
        lost |= self._behind_the_end()
        records: dict[int, list[LogRecord]] = {}
        for partition, messages in found.items():
            shard = partition.partition
            if shard in self._short_since:  # these may be another log's: until that is known they wait
                self._consumer.seek(partition, self._positions[shard])
                continue
            whole = self._up_to_gap(shard, messages) if shard in self._positions else []
            if whole:
                records[shard] = [LogRecord(each.offset, each.value or b"") for each in whole]
                self._positions[shard] = whole[-1].offset + 1
        if self._topic_is_gone():
            lost = set(self._positions)
        if lost and not records:
            raise LogLost(tuple(sorted(lost)))
        self._lost = lost
        return records

    async def starts(self, shards: Sequence[int]) -> dict[int, int]:
        with translated():
            async with asyncio.timeout(_DEADLINE_S):
                found = await self._consumer.beginning_offsets([*map(self._partition, shards)])
        return {partition.partition: offset for partition, offset in found.items()}

    async def contact(self) -> Contact:
        if self._now() - self._answered > _QUIET_S:
            with contextlib.suppress(
                KafkaError, OSError, TimeoutError
            ):  # the answer says that there was none
                async with asyncio.timeout(_ASK_S):
                    await self._consumer.topics()
                    self._heard()
        silent_s = self._now() - self._answered
        answering_s = self._now() - self._answering_since if silent_s <= _STREAK_S else 0.0
        return Contact(silent_s, answering_s)

    def end(self, shard: int) -> int | None:
        return self._ends.get(shard)

    def pause(self, shards: Sequence[int]) -> None:
        ours = set(shards) & self._positions.keys()
        self._paused |= ours
        self._consumer.pause(*map(self._partition, ours))

    def resume(self, shards: Sequence[int]) -> None:
        ours = set(shards) & self._paused
        self._paused -= ours
        self._consumer.resume(*map(self._partition, ours))

    async def commit(self, offsets: Mapping[int, int]) -> None:
        # A shard that was given away meanwhile is its new reader's to commit.
        await self._group.commit({each: at for each, at in offsets.items() if each in self._positions})

    async def close(self) -> None:
        if self._consumer is not None:
            with translated():
                await stopped(self._consumer)
        await self._group.close()

    async def _started(self) -> Any:
        consumer = AIOKafkaConsumer(
            **connection(self._bootstrap, self._access),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=self._fetch_wait_ms,
            max_partition_fetch_bytes=MAX_RECORD + 1024 * 1024,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            with translated():
                await consumer.start()
        except BaseException:
            await stopped(consumer)
            raise
        return consumer

    def _partition(self, shard: int) -> TopicPartition:
        return TopicPartition(self._topic, shard)

    async def _fetched(self, wait_ms: int, limit: int) -> tuple[dict[TopicPartition, list[Any]], set[int]]:
        """Return what has come, and the shards whose position no broker has; aiokafka tells these singly."""
        lost: set[int] = set()
        while True:
            try:
                return await self._consumer.getmany(
                    timeout_ms=0 if lost else wait_ms, max_records=limit
                ), lost
            except OffsetOutOfRangeError as exc:
                told = {each.partition for each in exc.args[0]}
                if told <= lost:
                    return {}, lost
                lost |= told
            except (KafkaError, OSError, TimeoutError) as exc:
                raise away(exc) from exc

    def _topic_is_gone(self) -> bool:
        """Return whether the brokers have not known the topic for a while."""
        if self._consumer.partitions_for_topic(self._topic):
            self._gone_since = None
            return False
        self._gone_since = self._gone_since or self._now()
        return self._now() - self._gone_since >= self._lost_after_s

    def _up_to_gap(self, shard: int, messages: list[Any]) -> list[Any]:
        """Return what follows our position without a gap; what is behind a gap is fetched again.

        Offsets are dense, since our topics are neither compacted nor written in transactions. Yet Tansu,
        asked while a batch is being written, now and then leaves it out and answers with the next one.
        """
        wanted = self._positions[shard]
        whole = sum(each.offset == wanted + index for index, each in enumerate(messages))
        if whole == len(messages):
            self._gap_since.pop(shard, None)
            return messages
        since = self._gap_since.setdefault(shard, self._now())
        if self._now() - since < GAP_PATIENCE_S:
            log.warning("log_gap", shard=shard, wanted=wanted + whole, got=messages[whole].offset)
            self._consumer.seek(self._partition(shard), wanted + whole)
            return messages[:whole]
        log.error("log_gap_passed", shard=shard, wanted=wanted + whole, got=messages[whole].offset)
        del self._gap_since[shard]
        return messages

    async def _ask_ends(self) -> None:
        """Ask for the ends that are not known, where the first fetch of a quiet shard would tell late."""
        unknown = [self._partition(shard) for shard in self._positions if shard not in self._ends]
        if not unknown or self._fetch_wait_ms < _LONG_WAIT_MS:
            return
        with contextlib.suppress(KafkaError, OSError, TimeoutError):  # then the first fetch tells
            async with asyncio.timeout(_ASK_S):
                found = await self._consumer.end_offsets(unknown)
            for partition, end in found.items():
                if end >= self._positions.get(partition.partition, end + 1):
                    self._ends[partition.partition] = end

    def _heard(self) -> None:
        """A broker has answered."""
        if self._now() - self._answered > _STREAK_S:
            self._answering_since = self._now()
        self._answered = self._now()

    def _behind_the_end(self) -> set[int]:
        """Note the high watermarks; return the shards where one stays below our position, or below itself.

        An end never sinks within one log, so one that did is another log's, though it may have grown past our
        position already.
        """
        lost = set()
        for shard, position in self._positions.items():
            partition = self._partition(shard)
            end = self._consumer.highwater(partition)
            if end is None:
                continue
            stamp = self._consumer.last_poll_timestamp(partition)
            if stamp != self._stamps.get(shard):
                self._stamps[shard] = stamp
                self._heard()
            if end >= max(position, self._ends.get(shard, 0)):
                self._ends[shard] = end
                self._short_since.pop(shard, None)
            elif self._now() - self._short_since.setdefault(shard, self._now()) >= self._lost_after_s:
                lost.add(shard)
        return lost
