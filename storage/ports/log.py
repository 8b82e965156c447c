"""The log: what appends to it, what reads it, and what makes and trims its topics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class LogRecord(Struct, array_like=True, frozen=True):
    """One value read from the log."""

    offset: int
    value: bytes


class LogLost(Exception):  # noqa: N818 -- named for what happened
    """The log no longer reaches to where these shards are read: it was lost, recreated or trimmed.

    Nothing is skipped: the reader stays where it is and says so again at every ``poll``.

    Attributes:
        shards: The shards concerned.
    """

    def __init__(self, shards: tuple[int, ...]) -> None:
        super().__init__(f"The log of shards {shards} no longer reaches to where they are read.")
        self.shards = shards


class Contact(Struct, frozen=True):
    """Reachability of the log's brokers.

    Attributes:
        silent_s: Seconds since any of them last answered.
        answering_s: Seconds for which they have answered without a long pause; 0 while they do not.
    """

    silent_s: float
    answering_s: float


class LogWriter(Protocol):
    """Appends to the topics. One per process."""

    async def append(self, topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        """Append ``(shard, value)`` items and wait until each is durable (``acks=all``).

        Items of one shard keep their order, within a call and between calls made one after the
        other (a later call need not wait for an earlier one). An item whose fate is unknown is
        answered by an ``Unavailable`` in its place; it may still appear in the log later.

        Returns:
            For each item, in the order given, its offset or the exception.
        """
        ...

    async def pause(self) -> None:
        """Hold back new appends, and return when none is in flight. Idempotent.

        What the log does not answer within a second or so is given up as unknown: it is not sent again
        when the log comes back.
        """
        ...

    def resume(self) -> None:
        """Let appends go on. Idempotent."""
        ...

    @property
    def batches(self) -> int:
        """How many batches were confirmed to us so far."""
        ...

    def ends(self, topic: str) -> dict[int, int]:
        """Return per shard the offset after the last record that was confirmed to us, unless we forgot it."""
        ...

    def forget(self, recreated: Mapping[str, Iterable[int]]) -> None:
        """Forget the ends of these shards, by topic: their log was recreated."""
        ...

    def renumber(self) -> None:
        """Refuse what waits: there are more shards now, and it may belong to another one."""
        ...

    async def close(self) -> None:
        """Flush and disconnect."""
        ...


class LogReader(Protocol):
    """Reads the partitions that it is assigned; commits to one group."""

    async def assign(self, shards: Mapping[int, int]) -> None:
        """Read exactly these shards, each from the given offset; shards already read keep their position."""
        ...

    async def start_over(self) -> None:
        """Forget every position and end, and read nothing until the next ``assign``: the log was recreated.

        No record and no number of the log before is given out afterwards. If it raises ``Unavailable``,
        nothing has changed.
        """
        ...

    async def committed(self, shards: Sequence[int]) -> dict[int, int | None]:
        """Return each shard's committed offset: the next to be read, None if there is none."""
        ...

    async def poll(self, *, wait_ms: int, limit: int) -> dict[int, list[LogRecord]]:
        """Return what is there, in offset order per shard, waiting at most ``wait_ms`` for the first.

        Raises:
            LogLost: A shard's position is not in the log any more, or the topic is gone. Records of the
                other shards are returned by further calls.
        """
        ...

    async def starts(self, shards: Sequence[int]) -> dict[int, int]:
        """Return the lowest offset that each shard's log still holds; where it is empty, its end."""
        ...

    async def contact(self) -> Contact:
        """Return broker reachability; if none has answered lately, one is asked."""
        ...

    def end(self, shard: int) -> int | None:
        """Return the high watermark (offset after the last durable record) that was seen last."""
        ...

    def pause(self, shards: Sequence[int]) -> None:
        """Fetch no more from these shards until ``resume``."""
        ...

    def resume(self, shards: Sequence[int]) -> None:
        """Fetch from these shards again."""
        ...

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset to be read of each shard. A lost reply is harmless."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class LogAdmin(Protocol):
    """Creates and removes topics. Only the coordinator calls it."""

    async def partitions(self, topic: str) -> int | None:
        """Return the topic's number of partitions, None if there is no such topic."""
        ...

    async def starts(self, topic: str) -> dict[int, int]:
        """Return the lowest offset that each partition still holds; where it is empty, its end."""
        ...

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record of each partition. Tansu errs, so it is not asked."""
        ...

    async def create(self, topic: str, partitions: int) -> None:
        """Create the topic and return once it can be written to. An existing one is left as it is."""
        ...

    async def grow(self, topic: str, partitions: int, *, only_ask: bool = False) -> bool:
        """Have the topic have so many partitions; those that are there stay as they are.

        A topic that has as many is left as it is. Returns once the new ones can be written to.

        Args:
            topic: One that is there.
            partitions: How many in all.
            only_ask: Change nothing, and return whether it would be done.

        Returns:
            False if this broker cannot add partitions.
        """
        ...

    async def delete(self, topic: str) -> None:
        """Delete the topic and return once it is gone. A missing one is no error."""
        ...

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """Return what the group has committed of each partition of which it has committed anything."""
        ...

    async def commit_starts(self, topic: str, group: str) -> None:
        """Have the group begin with what each partition holds, whatever it committed in an earlier log."""
        ...

    async def sizes(self, topic: str) -> dict[int, int]:
        """Return the bytes that each partition's records take; of a topic that is not there, nothing."""
        ...

    async def trim(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Delete what is below these offsets, and return when no reader can get it any more.

        Whole files go at once or soon. An offset below what is left, or beyond the end, changes nothing. Of a
        partition the newest record must stay: a broker that was killed may know its end from that alone.
        """
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
