"""Watches over the log by what the routers and writers report: remakes it when it is full, or lost."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import structlog

from cluster.log.lifecycle import LogLifecycle
from cluster.settings import Log
from cluster.supervision.roles import WRITERS, Roles
from roost.errors import Unavailable
from roost.tasks import BackgroundTasks, insist

_RETRY_S: Final = 0.5
_RENEW_AGAIN_S: Final = 30.0
"""How long a renewal that did not come about is not tried again: all writes were paused for it."""

log = structlog.get_logger()


class LogMonitor:
    """Starts a change of the log where one is needed.

    Args:
        lifecycle: Makes it.
        roles: Report.
        most: When the log is full.
        tasks: Where the changes run.
    """

    def __init__(self, lifecycle: LogLifecycle, roles: Roles, most: Log, tasks: BackgroundTasks) -> None:
        self._lifecycle, self._roles, self._most, self._tasks = lifecycle, roles, most, tasks
        self._work: asyncio.Task[None] | None = None
        self._renew_after = 0.0
        self._batches_before: dict[str, int] = {}

    def look(self) -> None:
        """Act on what the routers say about the log: that it is gone, or that it is full.

        Their word counts by the base under which they read a shard: what was said of the log before the
        present one counts no more, and what is said of the present one counts at once.
        """
        working = self._lifecycle.busy or (self._work is not None and not self._work.done())
        if working or self._lifecycle.paused:
            return
        heard = [each.figures for each in self._roles.of("router")]
        shards_lost = {shard for of in heard for shard in self._of_present_log(of, of.get("lost", ()))}
        records = sum(
            of["ends"][shard] for of in heard for shard in self._of_present_log(of, of.get("ends", ()))
        )
        before = self._batches_before
        batches = sum(count - before.get(each, 0) for each, count in self._batches().items())
        full = 0 < self._most.max_records < records or 0 < self._most.max_batches < batches
        if shards_lost:
            self._work = self.lost(sorted(shards_lost))
        elif full and asyncio.get_running_loop().time() > self._renew_after:
            self._work = self._tasks.spawn(self._renew(), "log renewal")

    def lost(self, shards: Iterable[int] = ()) -> asyncio.Task[None]:
        """Make good that the log, or these shards of it, is lost; tried until it is done."""
        return self._tasks.spawn(_insist(lambda: self._lifecycle.lost(shards)), "log lost")

    def _of_present_log(self, figures: dict[str, Any], shards: Iterable[int]) -> list[int]:
        bases = figures.get("bases", {})
        return [shard for shard in shards if bases.get(shard) == self._lifecycle.topics.bases[shard]]

    def _batches(self) -> dict[str, int]:
        """Return how many batches each incarnation of a writer has appended."""
        return {each.figures_of[0]: each.figures.get("batches", 0) for each in self._roles.of(*WRITERS)}

    async def _renew(self) -> None:
        self._renew_after = asyncio.get_running_loop().time() + _RENEW_AGAIN_S
        try:
            if await self._lifecycle.renew():
                self._batches_before = self._batches()
                self._renew_after = 0.0
        except Unavailable as exc:
            log.warning("log_renewal_postponed", reason=exc.detail)


async def _insist(call: Callable[[], Awaitable[None]]) -> None:
    await insist(call, "log_still_away", pauses=itertools.repeat(_RETRY_S))
