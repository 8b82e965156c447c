"""The router: reads its shards of the log, hands each host its batch, commits what is stored.

Nothing is committed before the host said that it is in MongoDB. When a host goes away, its lanes
are rewound to what it stored, and read again when it, or another host, is there.
Long, because the map, the log and the hosts change the same lanes.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import structlog

from actors.doubt import Doubt
from actors.rpc import messages as msg
from actors.rpc.link import Link, connect
from actors.service import ClusterView
from cluster.consumers.shard_progress import Lane
from roost.errors import Unavailable
from storage.ports import LogLost, LogReader, LogRecord, Store
from storage.records import decode_record
from storage.topics import MAILBOX
from telemetry import metrics, traces

log = structlog.get_logger()

POLL_WAIT_MS = 200
"""How long one poll waits for a first record; the next one follows at once."""

POLL_RECORDS = 4000
"""Records of one poll at most."""

BUSY_RECORDS = 128
"""A poll that brings this many is followed by a rest, so that batches grow under load."""

REST_S_PER_RECORD = 0.0001
REST_S_AT_MOST = 0.04

UNSTORED_LIMIT = 200_000
"""Records that may be at a host and not yet stored, shared by its shards; a shard beyond that is not read."""

UNSTORED_LEAST = 2_000
"""As many of a shard may be, however many shards its host has."""

STASH_LIMIT = 1_000
"""Records of one shard that are held while its host is away."""

COMMIT_EVERY_S = 1.0
RECONNECT_S = 0.1


class Router:
    """One member of the consumer pool; see `actors.service.Service`."""

    def __init__(self, name: str, reader: LogReader, store: Store, secret: bytes) -> None:
        self.name = name
        self._reader, self._store, self._secret = reader, store, secret
        self._view: ClusterView | None = None
        self._lanes: dict[int, Lane] = {}
        self._links: dict[str, Link] = {}
        self._lost: set[int] = set()
        self._taken = 0
        self._before: ClusterView | None = None
        self._doubt, self._turned_s = Doubt(), 0.0
        self._given_up = self._anew = False
        self._changed, self._dial = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # --- Service ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start reading as soon as there is a map."""
        loops = (self._read_loop, self._connect_loop, self._commit_loop)
        self._tasks = [asyncio.create_task(loop(), name=loop.__name__) for loop in loops]

    async def apply(self, view: ClusterView) -> None:
        """Take the newest map."""
        self._doubt.visited(self._now_s())
        if self._view is None or view.version > self._view.version:
            self._view = view
            self._changed.set()
            self._dial.set()

    async def hold(self) -> None:
        """A router writes nothing that would be lost with the log."""

    async def release(self) -> None:
        """See `hold`."""

    async def status(self) -> dict[str, Any]:
        """Return the lag, and per shard what is stored and where the log ends."""
        self._doubt.visited(self._now_s())
        ends = {shard: self._reader.end(shard) for shard in self._lanes}
        known = {shard: end for shard, end in ends.items() if end is not None}
        lag = sum(self._lags().values())
        contact = await self._reader.contact()
        return {
            "shards": len(self._lanes),
            "lag": lag,
            "ends": known,
            "stored": {shard: lane.stored for shard, lane in self._lanes.items()},
            "bases": {shard: lane.base for shard, lane in self._lanes.items()},
            "map": self._taken,
            "lost": sorted(self._lost),
            "silent_s": contact.silent_s,
            "answering_s": contact.answering_s,
            "drained": len(known) == len(self._lanes) and lag == 0 and not self._changed.is_set(),
        }

    def _lags(self) -> dict[int, int]:
        """Return the records not stored of each shard whose end is known."""
        ends = {shard: self._reader.end(shard) for shard in self._lanes}
        return {s: max(0, end - self._lanes[s].stored) for s, end in ends.items() if end is not None}

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        metrics.show_lag(MAILBOX, self._lags())
        return metrics.exposition(metrics.READER, metrics.ROUTER)

    async def stop(self) -> list[str]:
        """Commit what is stored and disconnect; returns what was given up."""
        given_up: list[str] = []
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._commit()
        except Unavailable as exc:
            log.warning("last_commit_failed", reason=exc.detail)
            given_up.append(
                "could not write down how far it is stored: the next start reads some records again."
            )
        for link in self._links.values():
            link.close()
        await self._reader.close()
        return given_up

    # --- the map ----------------------------------------------------------------------------------

    async def _take_lanes(self, view: ClusterView) -> None:
        """Make the lanes what the map says: given up, taken over, moved to another host, rebased."""
        mine = {shard for shard, router in enumerate(view.routers) if router == self.name}
        self._taken = 0
        # With more shards a lane's records are of fewer users, and partitions are there that our consumer has
        # not seen: everything begins anew.
        more = view.renumbered(self._before)
        self._before = view
        gone = [s for s, lane in self._lanes.items() if more or s not in mine or lane.base != view.bases[s]]
        self._anew |= more or any(self._lanes[shard].base != view.bases[shard] for shard in gone)
        self._shut(gone)
        fresh = sorted(mine - self._lanes.keys())
        starts = await self._starts(fresh, view)
        for shard in fresh:
            self._lanes[shard] = Lane(
                shard, view.bases[shard], view.hosts[shard], starts[shard], starts[shard]
            )
        self._lost &= mine - set(fresh)
        known_since = dict(enumerate(view.since))
        for lane in self._lanes.values():
            host, since = view.hosts[lane.shard], known_since.get(lane.shard, 0)
            if (lane.host, lane.since) != (host, since) or self._stale(host, view):
                lane.host, lane.since = host, since
                lane.rewind()
        self._taken = view.version
        if gone or fresh:
            log.info("shards_assigned", taken=fresh, given_up=gone, version=view.version)

    def _shut(self, shards: Iterable[int]) -> None:
        for shard in shards:
            self._given_up = True
            lane = self._lanes.pop(shard)
            link = self._links.get(lane.host)
            if link is not None and lane.opened:
                link.send(msg.Shut([shard]))

    async def _starts(self, shards: list[int], view: ClusterView) -> dict[int, int]:
        """Return where to begin: at what the stores say is stored in this log.

        The group's own offset may outlive a log that was made anew, and says nothing about which log
        it meant; it is committed for everybody's lag tools, and not read.
        """
        if not shards:
            return {}
        states = await self._store.cluster.log_states()
        for shard in shards:
            if shard not in states or states[shard].base != view.bases[shard]:
                raise Unavailable(f"The map and the store name different bases for shard {shard}.")
        return {shard: states[shard].stored for shard in shards}

    def _stale(self, host: str, view: ClusterView) -> bool:
        link = self._links.get(host)
        return link is not None and link.name != view.incarnations.get(host)

    async def _seek(self) -> None:
        """Send the reader where lanes want it: twice, because a shard that stays keeps its position."""
        if self._anew:
            await self._reader.begin_anew()
            self._anew = False
            for lane in self._lanes.values():
                lane.seek, lane.stash = True, []
        if not any(lane.seek for lane in self._lanes.values()) and not self._given_up:
            return
        self._given_up = False
        reading = [lane for lane in self._lanes.values() if lane.shard not in self._lost]
        await self._reader.assign({lane.shard: lane.sent for lane in reading if not lane.seek})
        await self._reader.assign({lane.shard: lane.sent for lane in reading})
        self._reader.resume([lane.shard for lane in reading])
        for lane in self._lanes.values():
            lane.seek = lane.halted = False

    # --- reading ----------------------------------------------------------------------------------

    async def _read_loop(self) -> None:
        while True:
            try:
                if self._changed.is_set() and self._view is not None:
                    self._changed.clear()
                    await self._take_lanes(self._view)
                await self._seek()
                self._open_lanes()
                await self._read()
            except LogLost as exc:
                log.warning("log_lost", shards=list(exc.shards))
                self._lost |= set(exc.shards)
                self._given_up = True
            except Unavailable as exc:
                log.warning("read_postponed", reason=exc.detail)
                self._changed.set()
                await asyncio.sleep(0.2)

    async def _read(self) -> None:
        if not self._lanes:
            await asyncio.wait_for(self._changed.wait(), None)
            return
        self._throttle()
        records = await self._reader.poll(wait_ms=POLL_WAIT_MS, limit=POLL_RECORDS)
        if self._in_doubt():
            await self._ask_for_bases(records)
        self._turned_s = self._now_s()
        if not records:
            return
        if traces.tracer is not None:
            for shard, found in records.items():
                for each in found:
                    traces.tracer.begin(traces.HAND_OVER, (shard, each.offset))
        count = self._route(records)
        if count >= BUSY_RECORDS:
            await asyncio.sleep(min(REST_S_AT_MOST, (count - BUSY_RECORDS) * REST_S_PER_RECORD))

    def _in_doubt(self) -> bool:
        """Say whether a log may have begun anew that this router takes for the one before."""
        return self._doubt.is_due(self._now_s(), self._turned_s)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def _ask_for_bases(self, records: dict[int, list[LogRecord]]) -> None:
        """Take out what is of a log that the map does not know yet; read no more of that.

        A base is stored before its log is made, so what was read before the store was asked is of the log
        that the store names, or of one before it.
        """
        asked_s = self._now_s()
        try:
            states = await self._store.cluster.log_states()
        except Unavailable:
            for lane in self._lanes.values():
                lane.seek, lane.stash = True, []
            raise
        self._doubt.asked(asked_s)
        anew = [s for s, lane in self._lanes.items() if s in states and states[s].base != lane.base]
        for shard in anew:
            records.pop(shard, None)
        if anew:
            log.warning("log_begun_anew", shards=anew)
            self._lost |= set(anew)
            self._given_up = True

    def _route(self, records: dict[int, list[LogRecord]]) -> int:
        parts: dict[str, list[msg.Part]] = {}
        count = 0
        for shard, found in records.items():
            lane = self._lanes.get(shard)
            if lane is None or lane.seek:
                continue  # it is read again from `sent`
            if not lane.opened:
                lane.stash.extend(found)
                continue
            part = msg.Part(shard, [r.offset for r in found], [r.value for r in found])
            parts.setdefault(lane.host, []).append(part)
            lane.sent = found[-1].offset + 1
            count += len(found)
        for host, for_host in parts.items():
            self._links[host].send(msg.Batch(for_host))
            if traces.tracer is not None:
                _trace(traces.tracer, host, for_host)
        metrics.ROUTER_BATCH_RECORDS.observe(count)
        return count

    def _throttle(self) -> None:
        """Fetch nothing for lanes whose host is away or behind; the others go on."""
        lanes_of = Counter(lane.host for lane in self._lanes.values())
        limits = {host: max(UNSTORED_LEAST, UNSTORED_LIMIT // count) for host, count in lanes_of.items()}
        halt = [
            s for s, lane in self._lanes.items()
            if not lane.halted and (lane.unstored > limits[lane.host] or len(lane.stash) > STASH_LIMIT)
        ]  # fmt: skip
        go_on = [
            s
            for s, lane in self._lanes.items()
            if lane.halted and lane.opened and lane.unstored < limits[lane.host] // 2
        ]
        self._reader.pause(halt)
        self._reader.resume(go_on)
        for shard in halt + go_on:
            self._lanes[shard].halted = shard in halt

    def _open_lanes(self) -> None:
        """Tell the hosts about lanes whose log end is known; find out when a log was lost."""
        for lane in self._lanes.values():
            link = self._links.get(lane.host)
            end = self._reader.end(lane.shard)
            if lane.opened or lane.seek or link is None or not link.alive or end is None:
                continue
            if end < lane.sent:
                raise LogLost((lane.shard,))
            link.send(msg.Open(lane.shard, lane.base, lane.sent, end, lane.since))
            lane.opened = True
            if lane.stash:
                stash, lane.stash = lane.stash, []
                self._route({lane.shard: stash})

    # --- hosts ------------------------------------------------------------------------------------

    async def _connect_loop(self) -> None:
        while True:
            self._dial.clear()
            view = self._view
            wanted = set(view.hosts) & view.addresses.keys() if view is not None else ()
            for host in wanted:
                if view is not None and not self._linked(host, view):
                    await self._connect(host, view)
            if not self._links.keys() >= set(wanted):
                asyncio.get_running_loop().call_later(RECONNECT_S, self._dial.set)
            await self._dial.wait()

    async def _connect(self, host: str, view: ClusterView) -> None:
        try:
            link = await connect(
                view.addresses[host],
                self,
                msg.decode_from_host,
                secret=self._secret,
                me=("router", self.name),
            )
        except (OSError, TimeoutError) as exc:
            log.info("host_away", host=host, reason=str(exc))
            return
        link.name = view.incarnations[host]
        self._links[host] = link
        self._changed.set()

    def _linked(self, host: str, view: ClusterView) -> bool:
        """Say whether there is a link to this life of the host; one to another life is closed."""
        known = self._links.get(host)
        if known is None or (known.alive and known.name == view.incarnations[host]):
            return known is not None
        known.close()
        # Its end comes by itself only when the other side has read what waits for it, if it ever does.
        self.closed(known)
        return False

    def opened(self, link: Link) -> None:
        """The handshake with a host is done."""

    def closed(self, link: Link) -> None:
        """A host is gone: rewind its lanes."""
        for host in [h for h, known in self._links.items() if known is link]:
            del self._links[host]
            for lane in self._lanes.values():
                if lane.host == host:
                    lane.rewind()
            log.warning("host_lost", host=host)
        self._changed.set()
        self._dial.set()

    def received(self, link: Link, messages: list[Any]) -> None:
        """Take what a host says about our lanes."""
        for message in messages:
            if isinstance(message, msg.Stored):
                for shard, stored in message.offsets.items():
                    lane = self._lanes.get(shard)
                    if lane is not None and self._links.get(lane.host) is link:
                        lane.told(stored, message.bases.get(shard, lane.base))
            elif isinstance(message, msg.NotMine):
                lane = self._lanes.get(message.shard)
                if lane is not None:
                    lane.rewind()
                    self._changed.set()

    # --- committing -------------------------------------------------------------------------------

    async def _commit_loop(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            try:
                await self._commit()
            except Unavailable as exc:
                log.warning("commit_postponed", reason=exc.detail)

    async def _commit(self) -> None:
        news = [(lane, lane.stored) for lane in self._lanes.values() if lane.stored > lane.committed]
        if not news:
            return
        # The lanes, not their shards: by the time the log has answered there may be others, of a log that
        # began anew, and what is stored of the old one says nothing about theirs.
        await self._reader.commit({lane.shard: stored for lane, stored in news})
        by_base: dict[int, dict[int, int]] = {}
        for lane, stored in news:
            by_base.setdefault(lane.base, {})[lane.shard] = stored
        for base, stored_by_shard in by_base.items():
            await self._store.cluster.raise_stored(base, stored_by_shard)
        for lane, stored in news:
            lane.committed = max(lane.committed, stored)


def _trace(tracer: traces.Tracer, host: str, parts: Iterable[msg.Part]) -> None:
    for part in parts:
        for offset, value in zip(part.offsets, part.values, strict=True):
            try:
                cause = decode_record(value).cause
            except ValueError:
                continue  # the host will say so
            tracer.end(
                traces.HAND_OVER, (part.shard, offset), cause, shard=part.shard, offset=offset, host=host
            )
