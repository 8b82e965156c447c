"""Watches whether the store answers, by a question whose answer is of use: how many dead letters wait."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from roost.errors import Unavailable
from storage.ports import ClusterState

EVERY_S: Final = 5.0
_SLOW_S: Final = 2.0
_MOST: Final = 1_000

log = structlog.get_logger()


class StoreWatch:
    """Asks again and again.

    Args:
        store: Is asked.
        now: Seconds, from a clock that never goes back.

    Attributes:
        dead_letters: The last answer, None before the first.
    """

    def __init__(self, store: ClusterState, now: Callable[[], float]) -> None:
        self._store, self._now = store, now
        self.dead_letters: int | None = None
        self._unanswered_s: float | None = None

    @property
    def away_s(self) -> float:
        """Seconds for which the store has not answered; 0 if that is not long."""
        if self._unanswered_s is None:
            return 0.0
        silent_s = self._now() - self._unanswered_s
        return silent_s if silent_s > _SLOW_S else 0.0

    async def run(self) -> None:
        """Ask, indefinitely."""
        while True:
            if self._unanswered_s is None:
                self._unanswered_s = self._now()
            try:
                self.dead_letters = await self._store.waiting_dead_letters(_MOST)
            except Unavailable as exc:
                log.info("store_does_not_answer", reason=exc.detail)
                await asyncio.sleep(EVERY_S / 5)
            else:
                self._unanswered_s = None
                await asyncio.sleep(EVERY_S)
