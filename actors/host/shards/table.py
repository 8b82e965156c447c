"""The newest map, the shards that are open here, and the routers that read them."""

from actors.host.shards.shard import Shard
from actors.rpc.link import Link
from actors.rpc.messages import Open
from roost.clock import Clock
from roost.ids import shard_of
from storage.shard_map import ShardMap


class ShardTable:
    """The table of shards, by which every part of a host finds one.

    Args:
        clock: Says when a shard is opened.

    Attributes:
        shard_map: The newest map.
        count: How many shards there are by that map.
        records: The version of records to write: every role reads it.
        open: The shards that are here, by number.
        routers: Who reads each of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.shard_map: ShardMap | None = None
        self.count = 1
        self.records = 1
        self.open: dict[int, Shard] = {}
        self.routers: dict[int, Link] = {}

    def take(self, shard_map: ShardMap) -> None:
        """Go by this map."""
        self.shard_map, self.count, self.records = shard_map, shard_map.shards, shard_map.records

    @property
    def version(self) -> int:
        """Version of the map, 0 without one."""
        return 0 if self.shard_map is None else self.shard_map.version

    def add(self, opened: Open, before: Shard | None) -> Shard:
        """Open a shard; ``before`` is the same one with the log before, if that is still being stored."""
        shard = self.open[opened.shard] = Shard(opened, before, now_ms=self._clock())
        return shard

    def may_come(self, user: str, seq: int | None) -> bool:
        """Return whether a device of the user may rightly name an entry that has not come here yet."""
        shard = None if seq is None else self.of(user)
        return shard is not None and seq is not None and shard.may_come(seq, self._clock())

    def of(self, user: str) -> Shard | None:
        """Return the user's shard, None if it is not here."""
        return None if self.shard_map is None else self.open.get(shard_of(user, self.count))

    def number_of(self, user: str) -> int:
        """Return the number of the user's shard, -1 without a map."""
        return -1 if self.shard_map is None else shard_of(user, self.count)
