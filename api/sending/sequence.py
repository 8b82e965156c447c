"""Sequence numbers from log offsets: seq = base[shard] + offset, also after the log was recreated.

An offset that is 0, or not above all that this gateway has seen on the shard, means that the log
started over: the bases are read again before any number of that shard is given out. A number that
cannot be vouched for is not given; its sender tries again with the same id.
"""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from actors.map_lease import MapLease
from roost.errors import Unavailable
from roost.ids import shard_of
from storage.cluster_rows import LogState
from storage.ports import LogWriter, Store
from storage.topics import MAILBOX

_RESYNC_TRIES = 50
_RESYNC_PAUSE_S = 0.1
_STARTING = "The cluster is starting; try again in a moment."
_RENUMBERED = "The number of shards has changed; send the message again."
_NONE = -1  # the highest offset of a shard of which none was seen

log = structlog.get_logger(__name__)


class Sequencer:
    """Appends records to mailboxes and numbers them.

    Attributes:
        lease: On the map that the bases are from; to be renewed when the coordinator is here.
        resyncs: How often the bases had to be read because an offset went back.
        failures: Records that the log did not take.
        records: The version of records to write: every role reads it.
    """

    def __init__(self, log_writer: LogWriter, store: Store, lease: MapLease | None = None) -> None:
        self.lease = lease or MapLease()
        self._log = log_writer
        self._store = store
        self._bases: list[int] = []
        self._seen: list[int] = []
        self.resyncs = 0
        self.failures = 0
        self.records = 1

    @property
    def shards(self) -> int:
        """Number of shards, 0 before the first map."""
        return len(self._bases)

    def base_of(self, shard: int) -> int:
        """Return the shard's base."""
        return self._bases[shard]

    def end_of(self, shard: int) -> int:
        """Return the seq after the newest that this gateway saw on the shard."""
        return self._bases[shard] + self._seen[shard] + 1

    @property
    def top_base(self) -> int:
        """The highest base of all shards, 0 before the first map: no earlier log gave a number above."""
        return max(self._bases, default=0)

    def adopt(self, bases: Sequence[int], records: int = 1) -> None:
        """Take the bases of a new map, which never sink, and the version of records that every role reads."""
        self.records = records
        more = bases[len(self._bases) :]
        self._bases += more
        self._seen += [_NONE] * len(more)
        for shard, base in enumerate(bases):
            self._raise(shard, base)

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[int | Unavailable]:
        """Append ``(user, record)`` to the users' shards; returns each one's seq or why there is none."""
        if not self._bases:
            return [Unavailable(_STARTING) for _ in records]
        shards = [shard_of(user, self.shards) for user, _ in records]
        items = [(shard, record) for shard, (_, record) in zip(shards, records, strict=True)]
        # Only what was acknowledged before this append began must be below its offsets: appends
        # that overlap may be answered in any order.
        before = {shard: (self._bases[shard], self._seen[shard]) for shard in shards}
        offsets = await self._log.append(MAILBOX, items)
        if self.lease.expired():
            # The log may have started over and be longer by now than the one before was. Its base was stored
            # before it was made, so the store knows it.
            asked_s = self.lease.now_s()
            try:
                states = await self.resync()
            except Unavailable as exc:
                return [exc for _ in records]
            if len(states) != self.shards:  # it may be on a shard that is no longer its recipient's
                return [Unavailable(_RENUMBERED) for _ in records]
            self.lease.confirm(asked_s)
        over = _started_over(shards, offsets, before)
        lowest: dict[int, int] = {}
        for shard, offset, fresh in zip(shards, offsets, over, strict=True):
            if isinstance(offset, int) and fresh:
                lowest[shard] = min(lowest.get(shard, offset), offset)
        unsure = await self._settle(lowest, before) if lowest else frozenset[int]()
        risen = {shard for shard in before if self._bases[shard] != before[shard][0]}
        # The base rose while this append was in progress, and the offset does not look like a new log's: it
        # is the old one's, whose number no one must learn under the new base. Offset 0 looks like either
        # log's if none was seen of the old one.
        stale = [
            shard in risen and (not fresh or before[shard][1] == _NONE)
            for shard, fresh in zip(shards, over, strict=True)
        ]
        return [
            self._seq(shard, offset, vouched=shard not in unsure and not old)
            for shard, offset, old in zip(shards, offsets, stale, strict=True)
        ]

    def _seq(self, shard: int, offset: int | Exception, *, vouched: bool) -> int | Unavailable:
        if not isinstance(offset, int):
            self.failures += 1
            if isinstance(offset, Unavailable):
                return offset
            return Unavailable("The log did not accept the message; send it again.")
        if not vouched:
            return Unavailable("The log is being replaced; send the message again.")
        self._seen[shard] = max(self._seen[shard], offset)
        return self._bases[shard] + offset

    async def _settle(
        self, lowest: Mapping[int, int], before: Mapping[int, tuple[int, int]]
    ) -> frozenset[int]:
        """Wait until the bases explain the offsets; returns the shards where they do not."""
        unexplained: frozenset[int] = frozenset()
        for _ in range(_RESYNC_TRIES):
            await self.resync()
            unexplained = frozenset(
                shard
                for shard, offset in lowest.items()
                if self._bases[shard] == before[shard][0] and offset <= before[shard][1]
            )
            if not unexplained:
                return unexplained
            await asyncio.sleep(_RESYNC_PAUSE_S)
        log.error("offsets_went_back_but_no_base_rose", shards=sorted(unexplained))
        return unexplained

    async def survives(self, user: str, seq: int) -> bool:
        """Return whether what was sent to the user under this number is stored or in the log.

        Raises:
            Unavailable: There is no map yet, or the store does not answer.
        """
        if not self.shards:
            raise Unavailable(_STARTING)
        states = await self.resync()
        shard = shard_of(user, self.shards)
        if seq >= self._bases[shard] or (shard in states and states[shard].handled(seq)):
            return True
        return await self._store.mailboxes.exists(user, seq)

    async def resync(self) -> dict[int, LogState]:
        """Read the bases from the store, and return all that it says of the log."""
        self.resyncs += 1
        states = await self._store.cluster.log_states()
        for shard, state in states.items():
            if shard < len(self._bases):
                self._raise(shard, state.base)
        return states

    def _raise(self, shard: int, base: int) -> None:
        if base > self._bases[shard]:
            self._bases[shard], self._seen[shard] = base, _NONE


def _started_over(
    shards: Sequence[int], offsets: Sequence[int | Exception], before: Mapping[int, tuple[int, int]]
) -> list[bool]:
    """Return, for each offset, whether it belongs to a log that started over after ``before``.

    Offsets of one shard rise within a call, so one that is 0, or not above the one before it and all that was
    acknowledged earlier, is the first of a new log; those after it are the new log's, too.
    """
    reached = {shard: seen for shard, (_, seen) in before.items()}
    fresh: set[int] = set()
    found = []
    for shard, offset in zip(shards, offsets, strict=True):
        if isinstance(offset, int):
            if offset == 0 or offset <= reached[shard]:
                fresh.add(shard)
            reached[shard] = offset
        found.append(shard in fresh)
    return found
