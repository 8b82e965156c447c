"""Progress of a consumer in each shard it reads. Pure."""

from msgspec import Struct, field

from actors.offsets import Offsets
from storage.ports import LogRecord


class ShardProgress(Struct, kw_only=True):
    """One shard of a topic, as far as every consumer knows it.

    Attributes:
        shard: Shard number.
        epoch: Of the shard's log: another value means that it was made again.
        next: The next offset to be handed on.
        finished: Everything below this offset is finished: it may be committed.
        committed: The offset committed last.
        seek: The reader has to go to ``next``.
        paused: Nothing of it is fetched for now.
        lost: Its log is gone: nothing of it is read until the map shows another epoch.
    """

    shard: int
    epoch: int
    next: int
    finished: int
    committed: int = -1
    seek: bool = True
    paused: bool = False
    lost: bool = False

    def reread(self) -> None:
        """What the reader has of it is of no use: it is to be read again from ``next``."""
        self.seek = True

    def rewind(self) -> None:
        """What it was handed on to is gone: what is not finished is handed on again."""
        self.reread()


class HostedShard(ShardProgress, kw_only=True):
    """A shard of ``mailbox`` on its way to its host; ``epoch`` is its base.

    Attributes:
        host: Name of the host that owns the shard.
        since: Version of the map that gave it the shard, 0 if unknown.
        opened: The host knows that we read this shard.
        stash: Records read before the host was told of the shard.
    """

    host: str = ""
    since: int = 0
    opened: bool = False
    stash: list[LogRecord] = field(default_factory=list)

    @property
    def unstored(self) -> int:
        """Records sent and not yet stored."""
        return self.next - self.finished

    def reread(self) -> None:
        """Read it again from ``next``."""
        self.seek = True
        self.stash = []

    def rewind(self) -> None:
        """The host is gone: what it did not store is read and sent again."""
        self.opened = False
        self.next = self.finished
        self.reread()

    def told(self, stored: int, base: int) -> None:
        """The host says that everything below ``stored`` is stored.

        What it says of a log with another base crossed our opening of this one.
        """
        if self.opened and base == self.epoch:
            self.finished = max(self.finished, stored)


class PushShard(ShardProgress, kw_only=True):
    """A shard of ``push``, whose wake-ups end in any order; ``epoch`` is its value in `ShardMap.pushes`.

    Attributes:
        offsets: Which wake-ups are in progress.
        replayed_below: Records below this offset may have been begun by a pusher that died after it marked
            the wake-up as pending and before it sent it: the mark does not count for them.
        shared_until_s: The pusher before may read on until then, by the loop's clock: it has not seen the map
            yet. What it begins and is stopped at counts as replayed, too.
    """

    offsets: Offsets
    replayed_below: int | None = None
    shared_until_s: float = 0.0

    def begin(self, offset: int) -> None:
        """Take the next wake-up."""
        self.offsets.begin(offset)
        self.next = offset + 1

    def done(self, offset: int) -> None:
        """A wake-up is sent, not needed, or given up."""
        self.offsets.done(offset)
        self.finished = self.offsets.stored
