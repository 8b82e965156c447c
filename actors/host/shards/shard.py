"""A shard at its host: how far its log is handled and stored, and what waits for it. Pure."""

from collections.abc import Callable

from actors.host.shards.backlog import Backlog
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
        gaps: Records that did not come, each from an offset to before another.
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
        self.gaps: set[tuple[int, int]] = set()

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
        """Return whether the same log goes on: then nothing that is in memory has to go."""
        return opened.base == self.base and opened.offset <= self.offsets.following

    def when_ready(self, call: Callable[[], None]) -> None:
        """Make the call now, or after those that wait for the shard to catch up."""
        if self.ready:
            call()
        else:
            self.waiting.append(call)

    def run_waiting(self) -> None:
        """Make the calls that waited, if the shard has caught up."""
        if self.ready and self.waiting:
            waiting, self.waiting = self.waiting, []
            for call in waiting:
                call()
