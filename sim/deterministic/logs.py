"""The log: a list of records for each shard, which can be lost and recreated."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from roost.errors import Unavailable
from sim.deterministic.turns import Fate, Turn
from storage.ports import Contact, LogLost, LogRecord

MAILBOX = "mailbox"

Appended = Callable[[int, int, bytes], None]
"""Hears of every record that the log has taken: shard, offset, value."""

Asked = Callable[[bytes], None]
"""Hears of every wake-up that the log has taken."""


class Log:
    """The records of topic ``mailbox``; ``None`` for a shard whose log is gone. No wake-up is kept."""

    def __init__(self, shards: int, appended: Appended, asked: Asked) -> None:
        self.shards: list[list[bytes] | None] = [[] for _ in range(shards)]
        self._appended, self._asked = appended, asked

    def append(self, topic: str, items: Sequence[tuple[int, bytes]], fate: Fate) -> list[int | Exception]:
        """Append, with the results that `storage.ports.LogWriter` promises."""
        results: list[int | Exception] = []
        for shard, value in items:
            records = self.shards[shard]
            if fate == "refused" or records is None:
                results.append(Unavailable("The log is away."))
                continue
            offset = len(records)
            if topic == MAILBOX:
                records.append(value)
                self._appended(shard, offset, value)
            else:
                self._asked(value)
            results.append(offset if fate == "done" else Unavailable("The reply was lost."))
        return results


class PromptWriter:
    """Appends at once: a gateway's.

    Attributes:
        fate: What becomes of the next append.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.fate: Fate = "done"

    async def append(self, topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        """Append."""
        fate, self.fate = self.fate, "done"
        return self._log.append(topic, items, fate)

    async def pause(self) -> None:
        """Nothing is ever in progress here."""

    def resume(self) -> None:
        """See `pause`."""

    batches = 0

    def ends(self, _topic: str) -> dict[int, int]:
        """No one renews a log here."""
        return {}

    def forget(self, _recreated: Mapping[str, Iterable[int]]) -> None:
        """See `ends`."""

    def renumber(self) -> None:
        """No one adds shards here."""

    async def close(self) -> None:
        """Nothing to close."""


class SlowWriter(PromptWriter):
    """Appends when the run says so: a host's."""

    async def append(self, topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        """Append after a turn."""
        fate = await Turn()
        return self._log.append(topic, items, fate)


class Reader:
    """Reads shards from offsets: a router's.

    Attributes:
        limit: Records of one poll at most; set by the step that polls.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._at: dict[int, int] = {}
        self._paused: set[int] = set()
        self._known_end: dict[int, int] = {}
        self.limit = 0

    async def assign(self, shards: Mapping[int, int]) -> None:
        """Read exactly these; what is read already keeps its position."""
        self._at = {shard: self._at.get(shard, offset) for shard, offset in shards.items()}
        self._known_end = {s: end for s, end in self._known_end.items() if s in self._at}

    async def start_over(self) -> None:
        """Forget all of it."""
        self._at, self._known_end = {}, {}
        self._paused.clear()

    async def committed(self, shards: Sequence[int]) -> dict[int, int | None]:
        """Say nothing: the router does not ask."""
        return dict.fromkeys(shards)

    async def poll(self, *, wait_ms: int, limit: int) -> dict[int, list[LogRecord]]:  # noqa: ARG002 -- the port's
        """Return up to ``self.limit`` records of each shard."""
        found: dict[int, list[LogRecord]] = {}
        lost = tuple(shard for shard, at in self._at.items() if len(self._log.shards[shard] or ()) < at)
        lost += tuple(shard for shard in self._at if self._log.shards[shard] is None and shard not in lost)
        if lost:
            raise LogLost(lost)
        for shard, at in self._at.items():
            records = self._log.shards[shard] or []
            self._known_end[shard] = len(records)
            if shard in self._paused:
                continue
            some = [LogRecord(at + n, value) for n, value in enumerate(records[at : at + self.limit])]
            if some:
                found[shard] = some
                self._at[shard] = at + len(some)
        return found

    async def starts(self, shards: Sequence[int]) -> dict[int, int]:
        """Return 0: this log forgets nothing."""
        return dict.fromkeys(shards, 0)

    async def contact(self) -> Contact:
        """Say that the log always answers."""
        return Contact(0.0, 0.0)

    def end(self, shard: int) -> int | None:
        """Return the end that the last poll saw."""
        return self._known_end.get(shard)

    def pause(self, shards: Sequence[int]) -> None:
        """Read no more from these."""
        self._paused |= set(shards)

    def resume(self, shards: Sequence[int]) -> None:
        """Read again."""
        self._paused -= set(shards)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """No one reads it."""

    async def close(self) -> None:
        """Nothing to close."""
