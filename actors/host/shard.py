"""One shard at its host: how far the log was handled and stored, and who waits for it. Pure."""

from collections.abc import Callable

from actors.host.backlog import Backlog
from actors.offsets import Offsets
from actors.rpc.messages import Open


class Shard:
    """A shard that a router has opened here.

    Attributes:
        number: The shard.
        base: seq = base + offset.
        since: Version of the map that gave us the shard, as we knew at the opening; 0 if unknown.
        offsets: What is handled and what is stored.
        catch_up: The log's end when it was opened: streams are served from there on, because a
            client may know entries that have to be replayed first.
        told: The stored offset the router was told last.
        before: The same shard under an earlier base (the log was recreated), while some of its
            records are still being stored.
        waiting: What gateways asked before the shard had caught up, in order.
        backlog: What has come and is not done.
    """

    def __init__(self, opened: Open, before: "Shard | None" = None) -> None:
        self.number = opened.shard
        self.base = opened.base
        self.since = 0
        self.offsets = Offsets(opened.offset)
        self.catch_up = opened.end
        self.told = -1
        self.before = before
        self.waiting: list[Callable[[], None]] = []
        self.backlog = Backlog()

    @property
    def stored_seq(self) -> int:
        """Every record up to this seq is in the stores."""
        if self.settling and self.before is not None:
            return self.before.stored_seq
        return self.base + self.offsets.stored - 1

    @property
    def settling(self) -> bool:
        """Whether records of a log before this one are still being stored."""
        before = self.before
        if before is not None and not before.settling and before.offsets.stored == before.offsets.following:
            self.before = None
        return self.before is not None

    @property
    def ready(self) -> bool:
        """Whether everything that was in the log at the opening has been handed to actors."""
        return self.offsets.following >= self.catch_up

    def continues(self, opened: Open) -> bool:
        """Say whether the same log goes on: then nothing that is in memory has to go."""
        return opened.base == self.base and opened.offset <= self.offsets.following
