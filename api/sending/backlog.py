"""The hosts' backlogs, as they report them, and the wait that follows for a new record. Pure.

A host tells of its shards while it has much to do. One process handles all of them, so they share one rate; a
shard that stands still by itself, because its router is away for instance, has its own as well. What a host
does not tell of for two seconds holds nothing up: its records wait in the log, as they do while it is away.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from api.sending.flow import Flow

SILENT_S: Final = 2.0
"""So long a report counts."""

_ASSUMED_PER_S: Final = 5_000.0
_FLOOR: Final = 1_000
_ANOTHER_LOG: Final = 2**31


class Backlog(Struct, frozen=True):
    """What a host says of one shard.

    Attributes:
        following: The next seq that will come.
        unhandled: Records that came and that no actor has handled.
        unstored: Records that came and are not stored.
        size: Their bytes.
        age_s: Age of the oldest of them at the host, in seconds.
    """

    following: int
    unhandled: int
    unstored: int
    size: int
    age_s: float

    @property
    def handled(self) -> int:
        """Rises by one with each record that is handled."""
        return self.following - self.unhandled

    def ahead(self, end: int) -> int:
        """Return how many records wait for actors, if ``end`` is next; another log's number says nothing."""
        ahead = end - self.handled
        return ahead if 0 < ahead < _ANOTHER_LOG else 0


class _Way:
    """One queue on the way: that of a host, or of one shard."""

    __slots__ = ("ahead", "flow", "left")

    def __init__(self) -> None:
        self.flow = Flow(_ASSUMED_PER_S, _FLOOR, pauses=True)
        self.left = 0
        self.ahead = 0

    def look(self, now_s: float, done: int, ahead: int) -> None:
        self.left += done
        self.ahead = ahead
        self.flow.look(now_s, self.left, ahead)


class _Shard(_Way):
    __slots__ = ("backlog", "heard_s", "host")

    def __init__(self, host: "_Host", backlog: Backlog) -> None:
        super().__init__()
        self.host = host
        self.backlog = backlog
        self.heard_s = 0.0


class _Host(_Way):
    __slots__ = ("served",)

    def __init__(self) -> None:
        super().__init__()
        self.served = 1


class HostBacklogs:
    """What all hosts have said of late."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._shards: dict[int, _Shard] = {}

    @property
    def quiet(self) -> bool:
        """Whether no host has reported lately."""
        return not self._shards

    def heard(
        self, name: str, served: int, backlogs: Mapping[int, Backlog], ends: Mapping[int, int], now_s: float
    ) -> None:
        """A host told of its shards.

        Args:
            name: The host.
            served: How many shards it serves.
            backlogs: By shard.
            ends: The seq after the newest that this gateway gave out, by shard.
            now_s: The time.
        """
        host = self._hosts.setdefault(name, _Host())
        host.served = max(1, served)
        done = 0
        for number, backlog in backlogs.items():
            shard = self._shards.get(number)
            if shard is None or shard.host is not host:
                shard = self._shards[number] = _Shard(host, backlog)
            step = backlog.handled - shard.backlog.handled
            step = step if 0 < step < _ANOTHER_LOG else 0
            shard.backlog, shard.heard_s = backlog, now_s
            shard.look(now_s, step, backlog.ahead(ends[number]))
            done += step
        self._forget(now_s)
        host.look(now_s, done, sum(each.ahead for each in self._shards.values() if each.host is host))

    def _forget(self, now_s: float) -> None:
        self._shards = {n: each for n, each in self._shards.items() if now_s - each.heard_s <= SILENT_S}
        hosts = {id(each.host) for each in self._shards.values()}
        self._hosts = {name: each for name, each in self._hosts.items() if id(each) in hosts}

    def sent(self, number: int) -> None:
        """One more goes to a shard."""
        shard = self._shards.get(number)
        if shard is not None:
            shard.ahead += 1
            shard.host.ahead += 1

    def wait_s(self, number: int, now_s: float) -> float:
        """Return how long a new record of the shard would take to its actor, 0 without a report."""
        shard = self._shards.get(number)
        if shard is None or now_s - shard.heard_s > SILENT_S:
            return 0.0
        return max(shard.flow.wait_s(shard.ahead), shard.host.flow.wait_s(shard.host.ahead))

    def longest_s(self, now_s: float) -> float:
        """Return the same for the slowest shard."""
        return max((self.wait_s(number, now_s) for number in self._shards), default=0.0)

    def is_full(self, number: int, unstored: int, size: int, age_s: float, now_s: float) -> bool:
        """Return whether a shard has more unstored than its share of its host's bounds, or older records."""
        shard = self._shards.get(number)
        if shard is None or now_s - shard.heard_s > SILENT_S:
            return False
        backlog, served = shard.backlog, shard.host.served
        return backlog.unstored > unstored / served or backlog.size > size / served or backlog.age_s > age_s
