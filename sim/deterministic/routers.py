"""A router of the run: the real lanes and reading, one turn of the loop at a time."""

from typing import Any, cast

from cluster.consumers.router import Router as RealRouter
from roost.errors import Unavailable
from sim.deterministic.links import End, lives
from sim.deterministic.logs import Reader
from sim.deterministic.stores import Store
from sim.deterministic.turns import finish
from storage.ports import LogLost
from storage.records import ShardMap


class Router(RealRouter):
    """One life of a router."""

    def __init__(self, name: str, reader: Reader, store: Store) -> None:
        super().__init__(name, cast("Any", reader), cast("Any", store), b"")
        self._mine = reader

    def turn(self, limit: int) -> None:
        """Do one turn of the read loop, with at most so many records of each shard."""
        self._mine.limit = limit
        try:
            if self._changed.is_set() and self._view is not None:
                self._changed.clear()
                finish(self._take_lanes(self._view))
            finish(self._seek())
            self._open_lanes()
            if self._lanes:
                finish(self._read())
        except LogLost as exc:
            self._lost |= set(exc.shards)
            self._given_up = True
        except Unavailable:
            self._changed.set()

    def _in_doubt(self) -> bool:
        # Nobody here waits with writing until the routers have the map.
        return True

    def _now_s(self) -> float:
        return 0.0

    def has(self, host: str) -> bool:
        """Say whether there is a link to this life of the host, as the map has it."""
        return self._view is not None and self._linked(host, self._view)

    def reached(self, host: str, end: End) -> None:
        """Take a link to a host, named after the host's life."""
        self._links[host] = cast("Any", end)
        self._changed.set()

    def commit(self) -> None:
        """Write down what the hosts have stored."""
        finish(self._commit())

    def learn(self, view: ShardMap) -> None:
        """Take the map."""
        finish(self.apply(view))

    def lives(self) -> list[tuple[str, str]]:
        """Return the hosts that the map names, with their lives."""
        return lives(self._view)

    @property
    def version(self) -> int:
        """Version of the map it goes by."""
        return self._view.version if self._view is not None else 0

    @property
    def behind(self) -> bool:
        """Whether it has something to do that nobody will tell it of."""
        return self._changed.is_set() or any(
            not lane.opened or lane.unstored or lane.committed < lane.stored for lane in self._lanes.values()
        )
