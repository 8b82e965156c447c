"""The links to gateways and routers."""

from actors.host.shards.table import ShardTable
from actors.rpc import messages as msg
from actors.rpc.link import Link


class Links:
    """The roles that are linked to this host.

    Attributes:
        gateways: Their links.
    """

    def __init__(self, shards: ShardTable) -> None:
        self._shards = shards
        self.gateways: set[Link] = set()
        self._routers: dict[Link, None] = {}

    def opened(self, link: Link) -> None:
        """A router or gateway is there."""
        if link.role == "gateway":
            self.gateways.add(link)
        elif link.role == "router":
            self._routers[link] = None

    def closed(self, link: Link) -> None:
        """It is gone."""
        self.gateways.discard(link)
        self._routers.pop(link, None)

    def refuse(self, link: Link, shard: int) -> None:
        """Say that the shard is not here; -1 stands for all."""
        link.send(msg.NotMine(shard, self._shards.version))

    def tell_gateways_not_mine(self, shard: int) -> None:
        """Say it to every gateway: each may have questions here, a long poll for one, and no stream."""
        for link in self.gateways:
            self.refuse(link, shard)

    def tell_routers_not_mine(self, shard: int, but: Link | None = None) -> None:
        """Say it to every router: it need not be the one that opened the shard last which goes on sending."""
        for link in self._routers:
            if link is not but:
                self.refuse(link, shard)

    def tell_room(self, message: msg.Room) -> None:
        """Tell every gateway whether it is to ask before it accepts what is for a user."""
        for link in self.gateways:
            if not link.congested:
                link.send(message)

    def close(self) -> None:
        """Close all links."""
        for link in [*self.gateways, *self._routers]:
            link.close()
