"""Commits: the progress of stored records, reported to the routers, which commit it to the log."""

from collections.abc import Sequence

from actors.host.runtime import Runtime
from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.host.shards.tickets import Ticket
from actors.rpc import messages as msg
from actors.rpc.link import Link


class Commits:
    """Collects what is stored in one turn of the event loop, and tells each router once."""

    def __init__(self, shards: ShardTable, runtime: Runtime) -> None:
        self._shards, self._runtime = shards, runtime
        self._scheduled = False

    def finished(self, tickets: Sequence[Ticket]) -> None:
        """Pieces of work are durable."""
        moved = False
        for ticket in tickets:
            moved = ticket.offsets.done(ticket.offset) or moved
        if moved and not self._scheduled:
            self._scheduled = True
            self._runtime.soon(self._tell_all)

    def tell(self, shard: Shard) -> None:
        """Tell the shard's router, whether or not that is news.

        A repeat of what the log before had counts as stored once that is stored, not before: the log
        before is gone, and only a replay of the repeat would bring it back.
        """
        if not shard.settling:
            self._say(self._shards.routers[shard.number], [shard])

    def _tell_all(self) -> None:
        self._scheduled = False
        by_link: dict[Link, list[Shard]] = {}
        for number, shard in self._shards.open.items():
            router = self._shards.routers.get(number)
            if router is not None and shard.offsets.stored > shard.told and not shard.settling:
                by_link.setdefault(router, []).append(shard)
        for link, shards in by_link.items():
            self._say(link, shards)

    @staticmethod
    def _say(router: Link, shards: list[Shard]) -> None:
        for shard in shards:
            shard.told = shard.offsets.stored
        router.send(msg.Stored({s.number: s.told for s in shards}, {s.number: s.base for s in shards}))
