"""The newest map, the shards that are open here, and the routers that read them."""

from actors.host.shards.shard import Shard
from actors.rpc.link import Link
from roost.ids import shard_of
from storage.shard_map import ShardMap


class ShardTable:
    """The table of shards, by which every part of a host finds one.

    Attributes:
        shard_map: The newest map.
        count: How many shards there are by that map.
        records: The version of records to write: every role reads it.
        open: The shards that are here, by number.
        routers: Who reads each of them.
    """

    def __init__(self) -> None:
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

    def of(self, user: str) -> Shard | None:
        """Return the user's shard, None if it is not here."""
        return None if self.shard_map is None else self.open.get(shard_of(user, self.count))

    def number_of(self, user: str) -> int:
        """Return the number of the user's shard, -1 without a map."""
        return -1 if self.shard_map is None else shard_of(user, self.count)
