"""What a router knows of each shard it reads: a lane from the log to a host. Pure."""

from msgspec import Struct, field

from storage.ports import LogRecord


class Lane(Struct):
    """One shard on its way to its host.

    Attributes:
        shard: Shard number.
        base: seq = base + offset.
        host: Name of the host that owns the shard.
        since: Version of the map that gave it the shard, 0 if unknown.
        stored: Everything below this offset is in the stores, as the host said.
        sent: Next offset to be sent to the host.
        opened: The host knows that we read this shard.
        committed: Offset committed last.
        halted: Fetching is paused, because the host is away or behind.
        seek: The reader has to go (back) to ``sent``.
        stash: Records read before the host was told of the lane.
    """

    shard: int
    base: int
    host: str
    stored: int
    sent: int
    opened: bool = False
    committed: int = -1
    halted: bool = False
    seek: bool = True
    stash: list[LogRecord] = field(default_factory=list)
    since: int = 0

    @property
    def unstored(self) -> int:
        """Records sent and not yet stored."""
        return self.sent - self.stored

    def rewind(self) -> None:
        """The host is gone: what it did not store is read and sent again."""
        self.opened = False
        self.sent = self.stored
        self.seek = True
        self.stash = []

    def told(self, stored: int, base: int) -> bool:
        """The host says that everything below ``stored`` is stored; returns whether that is news.

        What it says of a log with another base crossed our opening of this one.
        """
        if not self.opened or base != self.base or stored <= self.stored:
            return False
        self.stored = stored
        return True
