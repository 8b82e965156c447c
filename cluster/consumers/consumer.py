"""The consumer of one topic: it reads the shards that the map gives it, and commits what is finished.

What becomes of a record, and when it is finished, is its processor's to say: the router's or the pusher's.
"""

import asyncio
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

from actors.map_lease import MapLease
from cluster.consumers.shard_progress import ShardProgress
from roost.errors import Unavailable
from roost.tasks import BackgroundTasks
from storage.ports import LogLost, LogReader, LogRecord
from storage.shard_map import ShardMap

POLL_MS: Final = 200
"""How long one poll waits for a first record; the next one follows at once."""

RETRY_S: Final = 0.2
"""The pause after a server was away."""

BUSY_S: Final = 0.1
"""The pause of a processor that has no room."""

P = TypeVar("P", bound=ShardProgress)

log = structlog.get_logger()


class Processor(Protocol[P]):
    """What handles the records of a consumer."""

    def epochs(self, shard_map: ShardMap) -> dict[int, int]:
        """Return the shards that a map gives to this consumer, each with the epoch of its log."""
        ...

    def shut(self, gone: Sequence[P]) -> None:
        """These are given up; those that are ``lost`` are opened again, with another log."""
        ...

    async def open(self, epochs: Mapping[int, int]) -> Sequence[P]:
        """Return the progress of shards that are new here: where to begin."""
        ...

    def place(self, shard_map: ShardMap) -> None:
        """Every shard of the map is open."""
        ...

    def lost(self, shards: Sequence[int]) -> None:
        """The reader finds that the logs of these are gone; calls `Consumer.lose`."""
        ...

    def ready(self) -> bool:
        """Prepare for a poll; returns whether there is room for more records."""
        ...

    async def take(self, records: dict[int, list[LogRecord]]) -> float:
        """Take what a poll has found, which may be nothing; returns how long to rest, in seconds."""
        ...

    async def committed(self, finished: Sequence[tuple[P, int]]) -> None:
        """These offsets are committed; write down what else says how far each shard is."""
        ...


class Consumer(Generic[P]):
    """Reads for one processor.

    Args:
        reader: Of the topic.
        processor: Handles the records.
        limit: Records of one poll at most.
        commit_every_s: How often what is finished is committed.
        lease: Nothing is committed while it has expired: the log may be another one by now. None: what is
            committed says of which log it is, or is read by no one.

    Attributes:
        shards: The progress of each shard that is read.
        shard_map: The newest map, None before the first.
    """

    def __init__(
        self,
        reader: LogReader,
        processor: Processor[P],
        *,
        limit: int,
        commit_every_s: float,
        lease: MapLease | None = None,
    ) -> None:
        self.shards: dict[int, P] = {}
        self.shard_map: ShardMap | None = None
        self._reader, self._processor = reader, processor
        self._limit, self._commit_every_s, self._lease = limit, commit_every_s, lease
        self._before: ShardMap | None = None
        self._taken = 0
        self._forget = self._reassign = False
        self._changed = asyncio.Event()
        self._loops = BackgroundTasks()

    # --- what a service is asked ---

    def start(self) -> None:
        """Start reading as soon as there is a map."""
        self._loops.spawn(self._read(), essential=True)
        self._loops.spawn(self._commit(), essential=True)

    def apply(self, shard_map: ShardMap) -> bool:
        """Take a map in the next turn; returns whether it is newer."""
        newer = self.shard_map is None or shard_map.version > self.shard_map.version
        if newer:
            self.shard_map = shard_map
            self._changed.set()
        return newer

    def status(self) -> dict[str, Any]:
        """Return how far each shard is, and whether everything in the log is finished."""
        ends = {shard: end for shard in self.shards if (end := self._reader.end(shard)) is not None}
        lag = sum(self.lags().values())
        return {
            "shards": len(self.shards),
            "lag": lag,
            "ends": ends,
            "stored": {shard: each.finished for shard, each in self.shards.items()},
            "map": self._taken,
            "caught_up": lag == 0 and len(ends) == len(self.shards) and self.settled,
        }

    def lags(self) -> dict[int, int]:
        """Return the records not finished of each shard whose end is known."""
        ends = {shard: self._reader.end(shard) for shard in self.shards}
        return {s: max(0, end - self.shards[s].finished) for s, end in ends.items() if end is not None}

    @property
    def settled(self) -> bool:
        """Whether the newest map is taken."""
        return not self._changed.is_set()

    async def stop_reading(self) -> None:
        """Read and commit no more."""
        await self._loops.cancel()

    async def stop(self) -> bool:
        """Read no more, and commit what is finished; returns whether that worked."""
        await self.stop_reading()
        try:
            await self.commit()
        except Unavailable as exc:
            log.warning("not_committed", reason=exc.detail)
            return False
        return True

    # --- the map ---

    async def _take_map(self, shard_map: ShardMap) -> None:
        """Read what the map says: give up shards, take over others, open those again whose log is another."""
        mine = self._processor.epochs(shard_map)
        self._taken = 0
        if shard_map.renumbered(self._before):  # the reader does not know partitions that were added
            self._forget = True
            for each in self.shards.values():
                each.rewind()
        self._before = shard_map
        gone = [each for shard, each in self.shards.items() if mine.get(shard) != each.epoch]
        self._give_up(gone, mine)
        if self._forget:
            await self._reader.start_over()
            self._forget = False
            for each in self.shards.values():
                each.reread()
        fresh = {shard: epoch for shard, epoch in sorted(mine.items()) if shard not in self.shards}
        if fresh:
            self.shards |= {each.shard: each for each in await self._processor.open(fresh)}
        self._processor.place(shard_map)
        self._taken = shard_map.version
        if gone or fresh:
            given_up = [each.shard for each in gone]
            log.info("shards_assigned", taken=list(fresh), given_up=given_up, version=shard_map.version)

    def _give_up(self, gone: Sequence[P], mine: Container[int]) -> None:
        for each in gone:
            del self.shards[each.shard]
            each.lost = each.shard in mine
            self._forget |= each.lost
        if gone:
            self._reassign = True
            self._processor.shut(gone)

    def lose(self, shards: Sequence[int], *, reopen: bool) -> None:
        """Read no more of these: their log is gone, or is another one than the map says.

        Args:
            shards: Which.
            reopen: Begin with them as if they were new here; else wait until the map shows another log.
        """
        lost = [self.shards[shard] for shard in shards if shard in self.shards]
        for each in lost:
            each.lost = True
        self._reassign = True
        if reopen:
            self._give_up(lost, shards)
            self._changed.set()

    async def _seek(self) -> None:
        """Send the reader where shards are to be read from: one that is left out forgets its position."""
        sought = {shard: each for shard, each in self.shards.items() if each.seek}
        if not sought and not self._reassign:
            return
        going = {each.shard: each.next for each in self.shards.values() if not each.lost}
        for each in self.shards.values():  # before waiting: one that is rewound meanwhile is sought again
            each.seek = each.paused = False
        try:
            await self._reader.assign({shard: at for shard, at in going.items() if shard not in sought})
            await self._reader.assign(going)
        except Unavailable:
            for each in sought.values():
                each.seek = True
            raise
        self._reader.resume(list(going))
        self._reassign = False

    # --- reading ---

    async def _read(self) -> None:
        while True:
            if not self.shards:
                await self._changed.wait()
            rest_s = await self.turn()
            if rest_s:
                await asyncio.sleep(rest_s)

    async def turn(self) -> float:
        """Take the map if there is a newer one, and read once; returns how long to rest, in seconds."""
        try:
            if self._changed.is_set() and self.shard_map is not None:
                self._changed.clear()
                await self._take_map(self.shard_map)
            await self._seek()
            if not self.shards:
                return 0.0
            if not self._processor.ready():
                return BUSY_S
            return await self._processor.take(await self._reader.poll(wait_ms=POLL_MS, limit=self._limit))
        except LogLost as exc:
            self._processor.lost(exc.shards)
        except Unavailable as exc:
            log.warning("read_postponed", reason=exc.detail)
            self._changed.set()
            return RETRY_S
        return 0.0

    # --- committing ---

    async def _commit(self) -> None:
        while True:
            await asyncio.sleep(self._commit_every_s)
            try:
                await self.commit()
            except Unavailable as exc:
                log.warning("commit_postponed", reason=exc.detail)

    async def commit(self) -> None:
        """Commit what is finished."""
        if self._lease is not None and self._lease.expired():
            return
        news = [(each, each.finished) for each in self.shards.values() if each.finished > each.committed]
        if not news:
            return
        # By progress, not by shard: by the time the log has answered there may be another log, and what is
        # finished of the old one says nothing about it.
        await self._reader.commit({each.shard: finished for each, finished in news})
        await self._processor.committed(news)
        for each, finished in news:
            each.committed = max(each.committed, finished)
