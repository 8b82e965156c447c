"""When a role must ask the store which log there is: it may have missed a map. Without a clock of its own."""

from math import inf

from actors.service import ASK_AGAIN_S, DOUBT_S


class Doubt:
    """The visits of the coordinator to a role, and its questions to the store."""

    def __init__(self) -> None:
        self._visited_s = self._asked_s = -inf

    def visited(self, now_s: float) -> None:
        """The coordinator was here: if there were a newer map, it would have given it."""
        self._visited_s = now_s

    def asked(self, now_s: float) -> None:
        """The store was asked at this time, and answered."""
        self._asked_s = now_s

    def is_due(self, now_s: float, turned_s: float = inf) -> bool:
        """Say whether to ask.

        Args:
            now_s: The time.
            turned_s: When the role, which does so all the time, last saw to its log.
        """
        if self._visited_s == -inf:
            return False  # there is no map yet
        heard_s = min(self._visited_s, turned_s)
        return now_s - heard_s > DOUBT_S and now_s - self._asked_s > ASK_AGAIN_S
