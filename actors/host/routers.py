"""What the map and routers say to a host: shards are opened, batches come, shards are given up."""

import structlog

from actors.host.shard import Shard
from actors.host.state import HostState
from actors.rpc import messages as msg
from actors.rpc.link import Link
from actors.user import events as ev
from roost.ids import shard_of
from storage.records import ShardMap, decode_record
from telemetry import metrics, traces

log = structlog.get_logger()


class FromRouters(HostState):
    """The map, shards and their records."""

    async def apply(self, view: ShardMap) -> None:
        """Take the newest map: let go of shards that others own now."""
        if self._view is not None and view.version < self._view.version:
            return
        self._log.forget(view.begun_anew(self._view))
        if view.renumbered(self._view):
            self._part()
        self._view = view
        self._writer.shards, self._writer.records = view.shards, view.records
        gone = [n for n in self._shards if view.hosts[n] != self.name]
        for number in gone:
            self._hand_over(number)
        if gone:
            self._writer.hurry()
        self._learn_since(view.since_of(self.name))

    def _since_said(self, _link: Link, said: msg.Since) -> None:
        self._learn_since(said.shards)

    def _learn_since(self, shards: dict[int, int]) -> None:
        """Let go of shards that were elsewhere since we opened them, as somebody knows who has a newer map.

        What is in memory of them lacks what happened there: they begin anew when a router opens them.
        """
        for number, since in shards.items():
            self._since[number] = max(since, self._since.get(number, 0))
            known = self._shards.get(number)
            if known is not None and known.since < since:
                log.info("shard_was_elsewhere", shard=number, opened=known.since, since=since)
                self._hand_over(number)

    def _open(self, link: Link, opened: msg.Open) -> None:
        if self._refuses(opened):
            link.send(msg.NotMine(opened.shard, self._view.version if self._view is not None else 0))
            return
        known = self._shards.get(opened.shard)
        self._routers[opened.shard] = link
        if known is not None and known.continues(opened):
            known.told = -1
            self._tell_stored(known)
            return
        waiting = known.waiting if known is not None else []
        # A log that was lost before all of it had come here: the host before us may have stored the rest.
        if known is not None and (opened.base == known.base or not known.ready):
            self._drop_shard(opened.shard)
            known = None
        shard = self._shards[opened.shard] = Shard(opened, known)
        shard.waiting, shard.since = waiting, self._since.get(opened.shard, 0)
        for resident in self._residents.values():
            if resident.shard is known:
                resident.shard = shard
        log.info("shard_opened", shard=shard.number, base=shard.base, offset=opened.offset, end=opened.end)
        self._if_ready(shard)

    def _refuses(self, opened: msg.Open) -> bool:
        """Say if the router's map is too old: the shard is another's, was elsewhere, or has a new log."""
        number, view = opened.shard, self._view
        if view is not None and self._owner(view, number) != self.name:
            return True
        if opened.since:
            self._learn_since({number: opened.since})
            if opened.since < self._since[number]:
                return True
        known = self._shards.get(number)
        bases = (view.bases[number] if view is not None else 0, known.base if known is not None else 0)
        return opened.base < max(*bases, self._over.get(number, 0))

    def end_logs(self, bases: dict[int, int]) -> list[int]:
        """Take no more of the logs under lower bases; return the shards of which not all is stored yet.

        Asked before anybody is shown these bases: who opens a shard under one of them finds in the store all
        that any host before has told devices of. It need not be a shard that is here.
        """
        for number, base in bases.items():
            self._over[number] = max(base, self._over.get(number, 0))
        self._writer.hurry()
        shards = self._writer.shards
        owed = {shard_of(user, shards) for user in self._writer.entries_of()}
        for resident in self._residents.values():
            owed |= {s.number for _, s, at in resident.inbox if at is not None and self._is_over(s)}
        return sorted(owed & bases.keys())

    def _is_over(self, shard: Shard) -> bool:
        return shard.base < self._over.get(shard.number, 0)

    def _batch(self, link: Link, batch: msg.Batch) -> None:
        metrics.HOST_BATCH_RECORDS.observe(sum(len(part.offsets) for part in batch.parts))
        for part in batch.parts:
            shard = self._shards.get(part.shard)
            if shard is None or self._routers.get(part.shard) is not link or self._is_over(shard):
                # A router that was paused does not know that another one read this shard meanwhile: it
                # must open it anew, else it would send for ever to a host that does not listen.
                link.send(msg.NotMine(part.shard, self._view.version if self._view is not None else 0))
                continue
            self._take_part(shard, part)
            self._if_ready(shard)

    def _take_part(self, shard: Shard, part: msg.Part) -> None:
        began, size = shard.offsets.following, 0
        for offset, value in zip(part.offsets, part.values, strict=True):
            if offset >= shard.offsets.following:
                shard.offsets.begin(offset)
                size += len(value)
                self._take(shard, offset, value)
        if shard.offsets.following > began:
            shard.backlog.took(shard.offsets.following, size, self._clock())

    def _take(self, shard: Shard, offset: int, value: bytes) -> None:
        if traces.tracer is not None:
            traces.tracer.begin(traces.DELIVER, (shard.number, offset))
        try:
            record = decode_record(value)
        except ValueError as exc:
            self._poison(shard, offset, value, f"the record cannot be decoded: {exc}")
            return
        if self._view is not None and shard_of(record.to, self._view.shards) != shard.number:
            self._poison(shard, offset, value, "the record is on a shard that is not its recipient's")
            return
        shard.backlog.unhandled += 1
        self._post_at(shard, record.to, ev.RecordArrived(shard.base + offset, record, value), offset)

    def _shut(self, link: Link, message: msg.Shut) -> None:
        for shard in message.shards:
            if self._routers.get(shard) is link:
                del self._routers[shard]

    def _if_ready(self, shard: Shard) -> None:
        if shard.ready and shard.waiting:
            waiting, shard.waiting = shard.waiting, []
            for call in waiting:
                call()

    def _hand_over(self, number: int) -> None:
        """Another host owns the shard by the newest map: drop it, and say so to who may send us its records.

        A router may miss that map and see only the one after, by which the shard is ours again. It need not
        be the one that opened the shard last.
        """
        self._drop_shard(number)
        self._routers.pop(number, None)
        for link in self._readers:
            link.send(msg.NotMine(number, self._view.version if self._view is not None else 0))

    @staticmethod
    def _owner(view: ShardMap, shard: int) -> str:
        return view.hosts[shard] if shard < view.shards else ""  # the router's map may have more

    def _part(self) -> None:
        """There are more shards now, each with fewer users: let go of all, and have them opened anew.

        Gateways that count shards as before do not know which of their streams a number means: -1 is all.
        """
        for number in list(self._shards):
            self._hand_over(number)
        for link in self._gateways:
            link.send(msg.NotMine(-1, self._view.version if self._view is not None else 0))
        self._log.renumber()
        self._writer.hurry()

    def _drop_shard(self, number: int) -> None:
        shard = self._shards.pop(number)
        shards = self._writer.shards

        def gone(user: str) -> bool:
            return shard_of(user, shards) == number

        self._activation.outdate(gone)
        self._outlets.forget(gone)
        for user in [u for u, r in self._residents.items() if r.shard is shard]:
            actor = self._residents.pop(user).actor
            if self._ledger is not None and actor is not None:
                self._ledger.add(user, actor)
        version = self._view.version if self._view is not None else 0
        for link in self._gateways:  # each may have questions here, a long poll for one, and no stream
            link.send(msg.NotMine(number, version))
        log.info("shard_dropped", shard=number)
