"""The log of a run: topics that can be lost, trimmed and made again, and the ports to them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from roost.errors import Unavailable
from sim.deterministic.control.network import Network
from sim.deterministic.control.store import Door
from sim.deterministic.control.truth import Truth
from storage.ports import Contact, LogLost, LogRecord

_PAUSE_S = 1.0
_DEADLINE_S = 10.0
_SILENT_S = 0.5
_BROKEN_S = 1.0
_RECORD_BYTES = 2**18
"""A record counts as so long, so that few of them are too many."""


class Partition(Struct):
    """One partition.

    Attributes:
        start: The lowest offset that is there.
        records: The values from there on.
    """

    start: int = 0
    records: list[bytes] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.start + len(self.records)


class Broker:
    """The topics; `storage.ports.LogAdmin` without its delays."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.topics: dict[str, list[Partition]] = {}
        self.offsets: defaultdict[tuple[str, str], dict[int, int]] = defaultdict(dict)

    def append(self, topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        """Append."""
        results: list[int | Exception] = []
        for shard, value in items:
            partitions = self.topics.get(topic, [])
            if shard >= len(partitions):
                results.append(Unavailable("There is no such partition."))
                continue
            results.append(partitions[shard].end)
            partitions[shard].records.append(value)
        return results

    def partitions(self, topic: str) -> int | None:
        """Return how many there are."""
        found = self.topics.get(topic)
        return None if found is None else len(found)

    def starts(self, topic: str) -> dict[int, int]:
        """Return the lowest offsets."""
        return {shard: each.start for shard, each in enumerate(self._of(topic))}

    def ends(self, topic: str) -> dict[int, int]:
        """Return the offsets after the last records."""
        return {shard: each.end for shard, each in enumerate(self._of(topic))}

    def create(self, topic: str, partitions: int) -> None:
        """Create the topic, unless it is there."""
        self.topics.setdefault(topic, [Partition() for _ in range(partitions)])

    def grow(self, topic: str, partitions: int, *, only_ask: bool = False) -> bool:
        """Add partitions."""
        found = self._of(topic)
        while not only_ask and len(found) < partitions:
            found.append(Partition())
        return True

    def delete(self, topic: str) -> None:
        """Delete the topic."""
        if (found := self.topics.pop(topic, None)) is not None:
            self._truth.topic_deleted(topic, found)

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """Return what the group has committed."""
        return dict(self.offsets[topic, group])

    def commit_starts(self, topic: str, group: str) -> None:
        """Have the group begin at the lowest offsets."""
        self.offsets[topic, group] |= self.starts(topic)

    def sizes(self, topic: str) -> dict[int, int]:
        """Return the bytes of each partition."""
        found = self.topics.get(topic, [])
        return {shard: _RECORD_BYTES * len(each.records) for shard, each in enumerate(found)}

    def trim(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Delete what is below."""
        for shard, at in offsets.items():
            partition = self._of(topic)[shard]
            gone = max(0, min(at, partition.end) - partition.start)
            self._truth.trimmed(topic, shard, partition, gone)
            partition.start += gone
            del partition.records[:gone]

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        """Keep a group's offsets."""
        for shard, offset in offsets.items():
            self._truth.committed(topic, shard, self.topics.get(topic, []), offset)
        self.offsets[topic, group] |= offsets

    def _of(self, topic: str) -> list[Partition]:
        if topic not in self.topics:
            raise Unavailable(f"There is no topic {topic}.")
        return self.topics[topic]


class Writer:
    """Implements `storage.ports.LogWriter` for one process."""

    def __init__(self, network: Network, broker: Broker) -> None:
        self._network, self._broker = network, broker
        self._resumed, self._idle = asyncio.Event(), asyncio.Event()
        self._resumed.set()
        self._idle.set()
        self._flying = self._numbering = 0
        self._ends: dict[tuple[str, int], int] = {}
        self.batches = 0

    async def append(self, topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        """Append, once it may."""
        numbering = self._numbering
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._resumed.wait()
        except TimeoutError:
            return [Unavailable("Writes are paused.") for _ in items]
        if numbering != self._numbering:
            return [Unavailable("The number of shards has changed.") for _ in items]
        self._flying += 1
        self._idle.clear()
        try:
            results = await self._network.ask("log", lambda: self._broker.append(topic, items))
        except Unavailable as exc:
            results = [exc for _ in items]
        finally:
            self._flying -= 1
            if not self._flying:
                self._idle.set()
        for (shard, _), result in zip(items, results, strict=True):
            if isinstance(result, int):
                self._ends[topic, shard] = max(result + 1, self._ends.get((topic, shard), 0))
        self.batches += 1
        return results

    async def pause(self) -> None:
        """Hold back appends."""
        self._resumed.clear()
        try:
            async with asyncio.timeout(_PAUSE_S):
                await self._idle.wait()
        except TimeoutError:
            return

    def resume(self) -> None:
        """Let them go on."""
        self._resumed.set()

    def ends(self, topic: str) -> dict[int, int]:
        """Return what was confirmed to us."""
        return {shard: end for (name, shard), end in self._ends.items() if name == topic}

    def forget(self, recreated: Mapping[str, Iterable[int]]) -> None:
        """Forget the ends of these."""
        gone = {(topic, shard) for topic, shards in recreated.items() for shard in shards}
        self._ends = {place: end for place, end in self._ends.items() if place not in gone}

    def renumber(self) -> None:
        """Refuse what waits."""
        self._numbering += 1

    async def close(self) -> None:
        """Disconnect."""
        self._resumed.set()


class Reader:
    """Implements `storage.ports.LogReader` for one process."""

    def __init__(self, network: Network, broker: Broker, topic: str, group: str) -> None:
        self._network, self._broker, self._topic, self._group = network, broker, topic, group
        self._at: dict[int, int] = {}
        self._known_end: dict[int, int] = {}
        self._held: set[int] = set()
        self._heard_s = self._steady_s = network.loop.time()
        self._asking: asyncio.Task[None] | None = None

    async def assign(self, shards: Mapping[int, int]) -> None:
        """Read exactly these; what is read already keeps its position."""
        self._at = {shard: self._at.get(shard, offset) for shard, offset in shards.items()}
        self._known_end = {s: end for s, end in self._known_end.items() if s in self._at}

    async def start_over(self) -> None:
        """Forget all of it."""
        await self._network.ask("log", lambda: None)
        self._at, self._known_end = {}, {}
        self._held.clear()

    async def committed(self, shards: Sequence[int]) -> dict[int, int | None]:
        """Return what is committed."""
        found = await self._network.ask("log", lambda: self._broker.committed(self._topic, self._group))
        return {shard: found.get(shard) for shard in shards}

    async def poll(self, *, wait_ms: int, limit: int) -> dict[int, list[LogRecord]]:
        """Return what is there."""
        found = await self._fetch(limit)
        if not found:
            await asyncio.sleep(wait_ms / 1000)
            found = await self._fetch(limit)
        return found

    async def _fetch(self, limit: int) -> dict[int, list[LogRecord]]:
        asked = dict(self._at)
        ends, found = await self._network.ask("log", lambda: self._read(asked, limit))
        self._heard()
        still = {shard: some for shard, some in found.items() if self._at.get(shard) == asked[shard]}
        for shard, some in still.items():
            self._at[shard] = some[-1].offset + 1
        self._known_end |= {shard: end for shard, end in ends.items() if shard in self._at}
        return still

    def _read(self, at: Mapping[int, int], limit: int) -> Any:
        partitions = self._broker.topics.get(self._topic, [])
        known = {shard: partitions[shard] for shard in at if shard < len(partitions)}
        lost = [
            s for s, offset in at.items() if s not in known or not known[s].start <= offset <= known[s].end
        ]
        if lost:
            raise LogLost(tuple(lost))
        found: dict[int, list[LogRecord]] = {}
        for shard, offset in at.items():
            partition = known[shard]
            some = partition.records[offset - partition.start :][:limit] if shard not in self._held else []
            if some:
                found[shard] = [LogRecord(offset + n, value) for n, value in enumerate(some)]
        return {shard: partition.end for shard, partition in known.items()}, found

    async def starts(self, shards: Sequence[int]) -> dict[int, int]:
        """Return the lowest offsets."""
        found = await self._network.ask("log", lambda: self._broker.starts(self._topic))
        return {shard: found.get(shard, 0) for shard in shards}

    async def contact(self) -> Contact:
        """Return how long the log has been silent; it is asked, if no one has lately."""
        now_s = self._network.loop.time()
        silent_s = now_s - self._heard_s
        if silent_s > _SILENT_S and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask())
        return Contact(silent_s, 0.0 if silent_s > _BROKEN_S else now_s - self._steady_s)

    async def _ask(self) -> None:
        try:
            await self._network.ask("log", lambda: None)
        except Unavailable:
            return
        self._heard()

    def _heard(self) -> None:
        now_s = self._network.loop.time()
        if now_s - self._heard_s > _BROKEN_S:
            self._steady_s = now_s
        self._heard_s = now_s

    def end(self, shard: int) -> int | None:
        """Return the end that was seen last."""
        return self._known_end.get(shard)

    def pause(self, shards: Sequence[int]) -> None:
        """Read no more from these."""
        self._held |= set(shards)

    def resume(self, shards: Sequence[int]) -> None:
        """Read again."""
        self._held -= set(shards)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Keep how far we are."""
        await self._network.ask("log", lambda: self._broker.commit(self._topic, self._group, offsets))

    async def close(self) -> None:
        """Disconnect."""


def admin_of(network: Network, broker: Broker) -> Any:
    """Return one process's `storage.ports.LogAdmin`."""
    return Door(network, "log", broker)
