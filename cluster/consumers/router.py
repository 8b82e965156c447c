"""The router: reads its shards of ``mailbox``, hands each host its batch, commits what is stored.

Nothing is committed before the host said that it is in MongoDB.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from actors.map_lease import MapLease
from actors.rpc.connections import Connections
from cluster.consumers.consumer import Consumer
from cluster.consumers.dispatcher import Dispatcher
from cluster.consumers.shard_progress import HostedShard
from roost.errors import Unavailable
from storage.ports import LogReader, LogRecord, Store
from storage.shard_map import ShardMap
from storage.topics import MAILBOX
from telemetry import metrics, traces

log = structlog.get_logger()

POLL_RECORDS: Final = 4000
"""Records of one poll at most."""

BUSY_RECORDS: Final = 128
"""A poll that brings more is followed by a rest, so that batches grow under load."""

REST_S_PER_RECORD: Final = 0.0001
REST_S_AT_MOST: Final = 0.04
COMMIT_EVERY_S: Final = 1.0


class Router:
    """One member of the consumer pool.

    See `actors.service.Service`, and from `epochs` on `cluster.consumers.consumer.Processor`.
    """

    def __init__(
        self, name: str, reader: LogReader, store: Store, hosts: Connections, lease: MapLease | None = None
    ) -> None:
        self.name = name
        self._reader, self._store, self._hosts = reader, store, hosts
        self._lease, self._turned_s = lease or MapLease(), 0.0
        self._consumer = Consumer(reader, self, limit=POLL_RECORDS, commit_every_s=COMMIT_EVERY_S)
        self._dispatcher = Dispatcher(self._consumer.shards, reader, hosts)

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
        if self._consumer.apply(shard_map):
            self._hosts.apply(shard_map)

    async def pause_writes(self) -> None:
        """A router writes nothing that would be lost with the log."""

    async def resume_writes(self) -> None:
        """See `pause_writes`."""

    async def status(self) -> dict[str, Any]:
        """Return the lag, and per shard what is stored and where the log ends."""
        self._lease.renew()
        contact = await self._reader.contact()
        shards = self._consumer.shards
        return self._consumer.status() | {
            "bases": {shard: each.epoch for shard, each in shards.items()},
            "lost": sorted(shard for shard, each in shards.items() if each.lost),
            "silent_s": contact.silent_s,
            "answering_s": contact.answering_s,
        }

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        metrics.show_lag(MAILBOX, self._consumer.lags())
        return metrics.exposition(metrics.READER, metrics.ROUTER)

    async def stop(self) -> list[str]:
        """Commit what is stored, and part from the hosts; returns what was given up."""
        committed = await self._consumer.stop()
        await self._hosts.close()
        again = "could not write down how far it is stored: the next start reads some records again."
        return [] if committed else [again]

    # --- shards come and go ---

    def epochs(self, shard_map: ShardMap) -> dict[int, int]:
        """Return our shards of a map with their bases."""
        return {
            shard: shard_map.bases[shard] for shard, name in enumerate(shard_map.routers) if name == self.name
        }

    def shut(self, gone: Sequence[HostedShard]) -> None:
        """Tell the hosts that we read these no longer."""
        self._dispatcher.shut(gone)

    async def open(self, epochs: Mapping[int, int]) -> Sequence[HostedShard]:
        """Return where to begin: at what the stores say is stored in this log.

        The group's own offset may outlive a log that was made again, and does not say which log it meant; it
        is committed for the tools that show lags, and not read.
        """
        states = await self._store.cluster.log_states()
        for shard, base in epochs.items():
            if shard not in states or states[shard].base != base:
                raise Unavailable(f"The map and the store name different bases for shard {shard}.")
        return [
            HostedShard(shard=shard, epoch=base, next=states[shard].stored, finished=states[shard].stored)
            for shard, base in epochs.items()
        ]

    def place(self, shard_map: ShardMap) -> None:
        """Go on at the hosts of this map."""
        self._dispatcher.place(shard_map)

    def lost(self, shards: Sequence[int]) -> None:
        """Wait for the coordinator to make these logs again."""
        log.warning("log_lost", shards=list(shards))
        self._consumer.lose(shards, reopen=False)

    # --- records ---

    def ready(self) -> bool:
        """Open what can be opened; hosts that are behind hold up their own shards only."""
        self._dispatcher.open()
        self._dispatcher.throttle()
        return True

    async def take(self, records: dict[int, list[LogRecord]]) -> float:
        """Send each host its records."""
        if self._lease.expired(self._turned_s):
            await self._ask_for_bases(records)
        self._turned_s = self._lease.now_s()
        if not records:
            return 0.0
        if traces.tracer is not None:
            for shard, found in records.items():
                for each in found:
                    traces.tracer.begin(traces.HAND_OVER, (shard, each.offset))
        beyond = self._dispatcher.send(records) - BUSY_RECORDS
        return min(REST_S_AT_MOST, max(0, beyond) * REST_S_PER_RECORD)

    async def _ask_for_bases(self, records: dict[int, list[LogRecord]]) -> None:
        """Take out what is of a log that the map does not know yet; read no more of that.

        A base is stored before its log is made, so what was read before the store was asked is of the log
        that the store names, or of one before it.
        """
        asked_s = self._lease.now_s()
        shards = self._consumer.shards
        try:
            states = await self._store.cluster.log_states()
        except Unavailable:
            for each in shards.values():
                each.reread()
            raise
        self._lease.confirm(asked_s)
        renewed = [s for s, each in shards.items() if s in states and states[s].base != each.epoch]
        for shard in renewed:
            records.pop(shard, None)
        if renewed:
            log.warning("log_newer_than_map", shards=renewed)
            self._consumer.lose(renewed, reopen=False)

    async def committed(self, finished: Sequence[tuple[HostedShard, int]]) -> None:
        """Write down what is stored, of which log."""
        by_base: dict[int, dict[int, int]] = {}
        for each, stored in finished:
            by_base.setdefault(each.epoch, {})[each.shard] = stored
        for base, stored_by_shard in by_base.items():
            await self._store.cluster.raise_stored(base, stored_by_shard)
