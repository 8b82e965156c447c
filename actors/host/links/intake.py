"""Takes the records that routers bring, each into the inbox of its user."""

import structlog

from actors.host.links.links import Links
from actors.host.links.ownership import ShardOwnership
from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.host.users.residents import Residents
from actors.host.writes.dead_letters import DeadLetters
from actors.rpc import messages as msg
from actors.rpc.link import Link
from actors.user import events as ev
from roost.clock import Clock
from roost.ids import shard_of
from storage.records import decode_record
from telemetry import metrics, traces

log = structlog.get_logger()


class Intake:
    """Turns the batches of routers into events."""

    def __init__(
        self,
        shards: ShardTable,
        ownership: ShardOwnership,
        links: Links,
        residents: Residents,
        dead_letters: DeadLetters,
        clock: Clock,
    ) -> None:
        self._shards, self._ownership, self._links = shards, ownership, links
        self._residents, self._dead_letters, self._clock = residents, dead_letters, clock

    def batch(self, link: Link, batch: msg.Batch) -> None:
        """Take a batch, part by part."""
        metrics.HOST_BATCH_RECORDS.observe(sum(len(part.offsets) for part in batch.parts))
        for part in batch.parts:
            shard = self._shards.open.get(part.shard)
            is_reader = self._shards.routers.get(part.shard) is link
            if shard is None or not is_reader or self._ownership.is_over(shard):
                # A router that was paused does not know that another one read this shard meanwhile: it
                # must open it again, else it would go on sending to a host that does not listen.
                self._links.refuse(link, part.shard)
                continue
            if self._has_gap(shard, part):
                self._links.refuse(link, part.shard)
                continue
            self._part(shard, part)
            shard.run_waiting()

    @staticmethod
    def _has_gap(shard: Shard, part: msg.Part) -> bool:
        """Return whether records before some of these did not come: then the router is to read them again.

        If they do not come then either, the log has none there, and what follows is taken.
        """
        offsets, following = part.offsets, shard.offsets.following
        if offsets[0] <= following and offsets[-1] - offsets[0] == len(offsets) - 1:
            return False
        for offset in offsets:
            if offset > following:
                known = (following, offset) in shard.gaps
                log.error("records_missing", shard=shard.number, offset=following, until=offset, taken=known)
                shard.gaps.add((following, offset))
                if not known:
                    return True
            following = max(following, offset + 1)
        return False

    def _part(self, shard: Shard, part: msg.Part) -> None:
        began, size = shard.offsets.following, 0
        for offset, value in zip(part.offsets, part.values, strict=True):
            if offset >= shard.offsets.following:
                shard.offsets.begin(offset)
                size += len(value)
                self._record(shard, offset, value)
        if shard.offsets.following > began:
            shard.backlog.took(shard.offsets.following, size, self._clock())

    def _record(self, shard: Shard, offset: int, value: bytes) -> None:
        if traces.tracer is not None:
            traces.tracer.begin(traces.DELIVER, (shard.number, offset))
        try:
            record = decode_record(value)
        except (ValueError, RecursionError) as exc:
            self._dead_letters.put(shard, offset, value, f"the record cannot be decoded: {exc}")
            return
        if self._shards.shard_map is not None and shard_of(record.to, self._shards.count) != shard.number:
            why = "the record is on a shard that is not its recipient's"
            self._dead_letters.put(shard, offset, value, why)
            return
        shard.backlog.unhandled += 1
        self._residents.post_record(
            shard, record.to, ev.RecordArrived(shard.base + offset, record, value), offset
        )
