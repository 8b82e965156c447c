"""Reports to gateways: how far a host is with its shards, while there is much to do."""

from collections.abc import Callable
from typing import Final

from actors.host.links.links import Links
from actors.host.runtime import Runtime
from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.rpc import messages as msg
from roost.clock import Clock

REPORT_S: Final = 0.1
"""Time between two reports."""

_CAME: Final = 16
_UNHANDLED: Final = 16
_UNSTORED: Final = 1_000
_OLD_MS: Final = 2_500


class Reports:
    """The reports of one host. A gateway that hears nothing of a shard holds nothing back for it."""

    def __init__(self, shards: ShardTable, links: Links, clock: Clock, runtime: Runtime) -> None:
        self._shards, self._links, self._clock, self._runtime = shards, links, clock, runtime
        self._cancel: Callable[[], None] | None = None
        self._followed: dict[int, int] = {}
        self._pressed: set[int] = set()

    def soon(self) -> None:
        """Something came: look at it in a while."""
        if self._cancel is None:
            self._cancel = self._runtime.later(REPORT_S, self.report)

    def stop(self) -> None:
        """Look no more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def report(self) -> None:
        """Tell the gateways of the shards with much to do."""
        self._cancel = None
        looked = {number: self.look_at(shard) for number, shard in self._shards.open.items()}
        pressed, self._pressed = self._pressed, {n for n, each in looked.items() if self._presses(n, each)}
        self._followed = {number: each.following for number, each in looked.items()}
        # Who was told that there is much to do is told once that there no longer is.
        telling = {number: looked[number] for number in self._pressed | pressed if number in looked}
        if telling:
            report = msg.Backlogs(telling, len(looked))
            for link in self._links.gateways:
                if not link.congested:
                    link.send(report)
        if any(each.unstored for each in looked.values()):
            self.soon()

    def look_at(self, shard: Shard) -> msg.ShardBacklog:
        """Return how far a shard is."""
        offsets, backlog = shard.offsets, shard.backlog
        backlog.stored(offsets.stored)
        return msg.ShardBacklog(
            shard.base + offsets.following,
            backlog.unhandled,
            offsets.following - offsets.stored,
            backlog.size,
            backlog.age_ms(self._clock()),
        )

    def _presses(self, number: int, looked: msg.ShardBacklog) -> bool:
        return (
            looked.following - self._followed.get(number, looked.following) >= _CAME
            or looked.unhandled >= _UNHANDLED
            or looked.unstored >= _UNSTORED
            or looked.age_ms >= _OLD_MS
        )
