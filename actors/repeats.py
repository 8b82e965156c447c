"""Which messages of a sender's device are repeats, told without remembering them all.

Message ids carry their time. What was seen before this actor came to life has ids up to a
*floor*, the greatest of them; what was seen since is remembered for a while. So an id above the
floor is new unless it is remembered, and only an id at or below it has to be looked up.
"""

_FEW = 32
_MANY = 2048
_KEEP_MS = 2_000


class Seen:
    """The ids of one sender's device in one mailbox.

    Attributes:
        floor: Every id above this that was seen is in memory; '' if none was seen before.
        newest: The greatest id seen.
    """

    __slots__ = ("_ids", "_limit", "floor", "newest")

    def __init__(self, newest: str) -> None:
        self.floor = self.newest = newest
        self._ids: set[str] = set()
        self._limit = _FEW

    def is_repeat(self, message_id: str) -> bool | None:
        """Say whether the id was seen; None: it has to be looked up."""
        if message_id in self._ids:
            return True
        return None if message_id <= self.floor else False

    def add(self, message_id: str) -> None:
        """Remember an id; forget old ones, at the price of looking them up should they come again."""
        self._ids.add(message_id)
        self.newest = max(self.newest, message_id)
        if len(self._ids) >= self._limit:
            self._forget()

    def _forget(self) -> None:
        ordered = sorted(self._ids)
        oldest = _ms(ordered[-1]) - _KEEP_MS
        drop = sum(1 for each in ordered if _ms(each) < oldest)
        if len(ordered) - drop >= _MANY:
            drop = max(drop, len(ordered) // 2)
        if drop:
            self.floor = max(self.floor, ordered[drop - 1])
            self._ids = set(ordered[drop:])
        self._limit = max(_FEW, 2 * len(self._ids))


def _ms(message_id: str) -> int:
    """Return the time inside a UUIDv7 in canonical form."""
    return int(message_id[:8] + message_id[9:13], 16)
