"""A router of the run: the real one, one turn of its loop at a time."""

from typing import Any, cast

from cluster.consumers.router import Router as RealRouter
from cluster.consumers.shard_progress import HostedShard
from sim.deterministic.logs import Reader
from sim.deterministic.reaching import ExpiredLease, StepConnections
from sim.deterministic.stores import Store
from sim.deterministic.turns import finish
from storage.shard_map import ShardMap


class Router(RealRouter):
    """One life of a router."""

    def __init__(self, name: str, reader: Reader, store: Store) -> None:
        self.connections = StepConnections("router", name)
        super().__init__(name, cast("Any", reader), cast("Any", store), self.connections, ExpiredLease())
        self._mine = reader

    def turn(self, limit: int) -> None:
        """Do one turn of the read loop, with at most so many records of each shard."""
        self._mine.limit = limit
        finish(self._consumer.turn())

    def commit(self) -> None:
        """Write down what the hosts have stored."""
        finish(self._consumer.commit())

    def learn(self, view: ShardMap) -> None:
        """Take the map."""
        finish(self.apply(view))

    @property
    def shards(self) -> dict[int, HostedShard]:
        """The progress of each shard."""
        return self._consumer.shards

    @property
    def version(self) -> int:
        """Version of the map it goes by."""
        return self._consumer.shard_map.version if self._consumer.shard_map is not None else 0

    @property
    def behind(self) -> bool:
        """Whether it has something to do that no one will tell it of."""
        return not self._consumer.settled or any(
            not each.opened or each.unstored or each.committed < each.finished
            for each in self._consumer.shards.values()
        )
