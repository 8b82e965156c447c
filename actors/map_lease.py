"""The lease on a map: how long a role may go by it without asking the store whether a log was made again."""

import asyncio
from collections.abc import Callable
from math import inf

from actors.service import ASK_AGAIN_S, MAP_LEASE_S


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class MapLease:
    """Renewed by every visit of the coordinator, which gives the role the newest map.

    A role that is not visited may have missed a map, and with it that a log is gone: once the lease has
    expired, it asks the store, whose answer counts for `ASK_AGAIN_S`.
    """

    def __init__(self, now_s: Callable[[], float] = _loop_time) -> None:
        self.now_s = now_s
        self._renewed_s = self._asked_s = -inf

    def renew(self) -> None:
        """The coordinator is here."""
        self._renewed_s = self.now_s()

    def confirm(self, asked_s: float) -> None:
        """The store was asked at this time, and answered."""
        self._asked_s = asked_s

    def expired(self, turned_s: float = inf) -> bool:
        """Return whether the store is to be asked.

        Args:
            turned_s: When the role, which does so all the time, last saw to its log.
        """
        if self._renewed_s == -inf:
            return False  # there is no map yet
        now_s = self.now_s()
        return now_s - min(self._renewed_s, turned_s) > MAP_LEASE_S and now_s - self._asked_s > ASK_AGAIN_S
