"""The router's side of its links to the hosts: shards are opened there, batches sent, stored offsets taken.

A host that goes away has its shards rewound to what it stored. One that is behind has them paused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from actors.rpc import messages as msg
from actors.rpc.connections import Connections
from actors.rpc.link import Link
from cluster.consumers.shard_progress import HostedShard
from storage.ports import LogLost, LogReader, LogRecord
from storage.records import decode_record, users_of
from storage.shard_map import ShardMap
from telemetry import metrics, traces

UNSTORED_LIMIT: Final = 200_000
"""Records that may be at a host and not yet stored, shared by its shards; a shard beyond that is not read."""

UNSTORED_LEAST: Final = 2_000
"""As many of a shard may be, however many shards its host has."""

STASH_LIMIT: Final = 1_000
"""Records of one shard that are held while its host is away."""


class Dispatcher:
    """Hands each host the records of its shards. See `actors.rpc.connections.Owner`.

    Args:
        shards: The consumer's.
        reader: Of ``mailbox``.
        hosts: The links.
    """

    def __init__(self, shards: Mapping[int, HostedShard], reader: LogReader, hosts: Connections) -> None:
        self._shards, self._reader, self._links = shards, reader, hosts.links
        hosts.report_to(self)

    def shut(self, gone: Sequence[HostedShard]) -> None:
        """Tell the hosts that we read these no longer."""
        for each in gone:
            link = self._links.get(each.host)
            if link is not None and each.opened:
                link.send(msg.Shut([each.shard]))

    def place(self, shard_map: ShardMap) -> None:
        """Rewind shards that have another host by this map, or were elsewhere meanwhile."""
        known_since = dict(enumerate(shard_map.since))
        for each in self._shards.values():
            host, since = shard_map.hosts[each.shard], known_since.get(each.shard, 0)
            if (each.host, each.since) != (host, since):
                each.host, each.since = host, since
                each.rewind()

    def open(self) -> None:
        """Tell the hosts about shards whose log end is known.

        Raises:
            LogLost: A log ends below what was read of it.
        """
        for each in self._shards.values():
            if each.opened or each.seek:
                continue
            link, end = self._links.get(each.host), self._reader.end(each.shard)
            if link is None or end is None:
                continue
            if end < each.next:
                raise LogLost((each.shard,))
            link.send(msg.Open(each.shard, each.epoch, each.next, end, each.since))
            each.opened = True
            if each.stash:
                stash, each.stash = each.stash, []
                self.send({each.shard: stash})

    def throttle(self) -> None:
        """Fetch nothing for shards whose host is away or behind; the others go on."""
        shards = self._shards
        count = Counter(each.host for each in shards.values())
        limits = {host: max(UNSTORED_LEAST, UNSTORED_LIMIT // many) for host, many in count.items()}
        pause = [
            s for s, each in shards.items()
            if not each.paused and (each.unstored > limits[each.host] or len(each.stash) > STASH_LIMIT)
        ]  # fmt: skip
        resume = [
            s
            for s, each in shards.items()
            if each.paused and each.opened and each.unstored < limits[each.host] // 2
        ]
        self._reader.pause(pause)
        self._reader.resume(resume)
        for shard in pause + resume:
            shards[shard].paused = not shards[shard].paused

    def send(self, records: Mapping[int, list[LogRecord]]) -> int:
        """Send each host its records; returns how many went."""
        parts: dict[str, list[msg.Part]] = {}
        count = 0
        for shard, found in records.items():
            each = self._shards.get(shard)
            if each is None or each.seek:
                continue  # it is read again from `next`
            if not each.opened:
                each.stash.extend(found)
                continue
            part = msg.Part(shard, [r.offset for r in found], [r.value for r in found])
            parts.setdefault(each.host, []).append(part)
            each.next = found[-1].offset + 1
            count += len(found)
        for host, for_host in parts.items():
            self._links[host].send(msg.Batch(for_host))
            if traces.tracer is not None:
                _trace(traces.tracer, host, for_host)
        metrics.ROUTER_BATCH_RECORDS.observe(count)
        return count

    # --- actors.rpc.connections.Owner ---

    def linked(self, host: str, link: Link) -> None:
        """`open`, which every turn calls, opens the host's shards."""

    def unlinked(self, host: str, link: Link) -> None:  # noqa: ARG002 -- the port's
        """Rewind the host's shards."""
        for each in self._shards.values():
            if each.host == host:
                each.rewind()

    def received(self, link: Link, messages: list[Any]) -> None:
        """Take what a host says about our shards."""
        for message in messages:
            if isinstance(message, msg.Stored):
                for shard, stored in message.offsets.items():
                    each = self._shards.get(shard)
                    if each is not None and self._links.get(each.host) is link:
                        each.told(stored, message.bases.get(shard, each.epoch))
            elif isinstance(message, msg.NotMine) and message.shard in self._shards:
                self._shards[message.shard].rewind()


def _trace(tracer: traces.Tracer, host: str, parts: Iterable[msg.Part]) -> None:
    for part in parts:
        for offset, value in zip(part.offsets, part.values, strict=True):
            try:
                record = decode_record(value)
            except (ValueError, RecursionError):
                continue  # the host will say so
            key, users = (part.shard, offset), users_of(record)
            tracer.end(traces.HAND_OVER, key, record.cause, users, shard=part.shard, offset=offset, host=host)
