"""The pusher: reads wake-ups from ``push`` and sees each one through.

A shard's offset is committed when everything below it is finished: sent, not needed, or given up and
kept in ``push.dead``. A wake-up that waits for its next try holds up its shard's commit, nothing else.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from actors.map_lease import MapLease
from actors.offsets import Offsets
from cluster.consumers.consumer import Consumer
from cluster.consumers.recent_pushes import RecentPushes
from cluster.consumers.shard_progress import PushShard
from cluster.consumers.wakeup import Waker
from roost.errors import RoostError
from roost.tasks import BackgroundTasks
from storage.ports import LogReader, LogRecord
from storage.records import decode_push
from storage.shard_map import ShardMap
from storage.topics import PUSH
from telemetry import metrics, traces

log = structlog.get_logger()

_POLL_RECORDS: Final = 500
_OPEN_LIMIT: Final = 10_000
_COMMIT_EVERY_S: Final = 0.5
_SHARED_S: Final = 5.0
"""So long after a shard was taken over from another pusher, that one has taken the map as well."""


class Pusher:
    """One member of the wake-up pool.

    See `actors.service.Service`, and from `epochs` on `cluster.consumers.consumer.Processor`.
    """

    def __init__(self, name: str, reader: LogReader, waker: Waker) -> None:
        self.name = name
        self._reader, self._waker = reader, waker
        self._lease = MapLease()
        self._consumer = Consumer(
            reader, self, limit=_POLL_RECORDS, commit_every_s=_COMMIT_EVERY_S, lease=self._lease
        )
        self._restart: set[int] = set()
        self._placed: dict[int, str] = {}
        self._waking = BackgroundTasks()
        self._recent = RecentPushes()

    @property
    def shard_map(self) -> ShardMap | None:
        """The newest map that was shown."""
        return self._consumer.shard_map

    # --- Service ---

    async def start(self) -> None:
        """Start reading as soon as there is a map."""
        self._consumer.start()

    async def apply(self, shard_map: ShardMap) -> None:
        """Take the newest map."""
        self._lease.renew()
        self._consumer.apply(shard_map)

    async def pause_writes(self) -> None:
        """A pusher writes nothing that would be lost with the log."""

    async def resume_writes(self) -> None:
        """See `pause_writes`."""

    async def status(self) -> dict[str, Any]:
        """Return what is open, and whether everything in the log is finished."""
        self._lease.renew()
        return self._consumer.status() | {"open": len(self._waking)}

    async def tell(self, message: dict[str, Any]) -> Any:
        """Take what the coordinator tells a pusher.

        ``hurry``: something waits until all is sent; ``pushes``: the last wake-ups of a user are asked for.
        """
        match message.get("act"):
            case "hurry":
                self._waker.hurry()
            case "pushes":
                return self._recent.of(message["user"])
            case other:
                raise RoostError("bad_request", f"A pusher takes no message {other!r}.")
        return True

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        metrics.WAKEUPS_OPEN.set(len(self._waking))
        metrics.show_lag(PUSH, self._consumer.lags())
        return metrics.exposition(metrics.READER, metrics.WRITER, metrics.PUSHER)

    async def stop(self) -> list[str]:
        """Commit what is finished; returns what was given up.

        What is open is read again by the pusher that comes next.
        """
        await self._consumer.stop_reading()
        await self._waking.cancel()
        committed = await self._consumer.stop()
        return [] if committed else ["could not write down which wake-ups are sent: some may be sent again."]

    # --- shards come and go ---

    def epochs(self, shard_map: ShardMap) -> dict[int, int]:
        """Return our shards of a map, each with the epoch of its wake-ups."""
        known = dict(enumerate(shard_map.pushes))
        return {
            shard: known.get(shard, 0) for shard, name in enumerate(shard_map.pushers) if name == self.name
        }

    def shut(self, gone: Sequence[PushShard]) -> None:
        """Start again with those that have another log; what is open of them is finished all the same."""
        self._restart |= {each.shard for each in gone if each.lost}

    async def open(self, epochs: Mapping[int, int]) -> Sequence[PushShard]:
        """Return where to begin: where the pool has got to, or at the start of a log that is another one."""
        restarted = [shard for shard in epochs if shard in self._restart]
        starts: dict[int, int | None] = {}
        if restarted:
            begins = await self._reader.starts(restarted)
            # Or else the next pusher that has one of them would begin where the pool was in the earlier log.
            await self._reader.commit(begins)
            starts |= begins
            log.warning("push_log_restarted", starts=begins)
        if others := [shard for shard in epochs if shard not in self._restart]:
            starts |= await self._reader.committed(others)
        self._restart.difference_update(epochs)
        until_s = asyncio.get_running_loop().time() + _SHARED_S
        shared = {s for s in epochs if self._placed.get(s, "") not in {"", self.name}}
        return [
            _begun(shard, epoch, starts[shard] or 0, until_s if shard in shared else 0.0)
            for shard, epoch in epochs.items()
        ]

    def place(self, shard_map: ShardMap) -> None:
        """A wake-up has no place; who had a shard before may matter to the next one who has it."""
        self._placed = dict(enumerate(shard_map.pushers))

    def lost(self, shards: Sequence[int]) -> None:
        """Read a log that was made again, or was trimmed, from where it starts now.

        Wake-ups are hints: what a log lost is made good by the device's next sync.
        """
        self._consumer.lose(shards, reopen=True)

    # --- wake-ups ---

    def ready(self) -> bool:
        """Return whether there is room for more."""
        return len(self._waking) <= _OPEN_LIMIT

    async def take(self, records: dict[int, list[LogRecord]]) -> float:
        """Begin what was found."""
        now_s = asyncio.get_running_loop().time()
        for number, found in records.items():
            shard = self._consumer.shards[number]
            if shard.replayed_below is None or now_s < shard.shared_until_s:
                shard.replayed_below = max(self._reader.end(number) or 0, found[-1].offset + 1)
            for record in found:
                shard.begin(record.offset)
                self._waking.spawn(self._see_through(shard, record), f"wake-up {number}/{record.offset}")
        return 0.0

    async def _see_through(self, shard: PushShard, record: LogRecord) -> None:
        """Wake the device of a record, and mark the record finished."""
        began = traces.tracer.now() if traces.tracer is not None else 0
        outcome = await self._waker.wake(record, again=record.offset < (shard.replayed_below or 0))
        metrics.WAKEUPS.labels(outcome).inc()
        self._recent.note(record.value, outcome)
        if traces.tracer is not None:
            _trace(traces.tracer, record.value, began, outcome)
        shard.done(record.offset)

    async def committed(self, finished: Sequence[tuple[PushShard, int]]) -> None:
        """The group's offsets are all that a pusher writes down."""


def _begun(shard: int, epoch: int, start: int, shared_until_s: float) -> PushShard:
    return PushShard(
        shard=shard,
        epoch=epoch,
        next=start,
        finished=start,
        committed=start,
        offsets=Offsets(start),
        shared_until_s=shared_until_s,
    )


def _trace(tracer: traces.Tracer, value: bytes, began_ns: int, outcome: str) -> None:
    try:
        push = decode_push(value)
    except (ValueError, RecursionError):
        return  # it is among the dead, with the reason
    tracer.span(traces.PUSH, push.cause, began_ns, (push.user,), outcome=outcome)
