"""Repeats among the messages of a mailbox, told without remembering them all.

Invariant: a repeat is never taken for new. The other way round costs no more than a query: a new message may
have to be looked up before it is known to be new.

Message ids carry their time. What a mailbox held when its actor was loaded has ids up to a *horizon*, the
greatest of them, whoever sent them; what came since is remembered for a while, by sender's device. So an id
above the horizon is new unless it is remembered, and only one at or below it has to be looked up:

    the mailbox held ids up to 12:00:07 when the actor was loaded
    Alice's phone sends one of 12:00:09, for the first time     new, nothing is looked up
    Bob's phone sends one of 11:58, which he wrote on a train   looked up

A device of which much was forgotten has a horizon of its own, which is higher.
"""

from collections.abc import Iterable

_FEW = 32
"""So many ids of a sender's device are remembered before any is forgotten."""

_MANY = 2048
"""So many at most, however close they are."""

_KEEP_MS = 2_000
"""Ids that are older than the device's newest by more than this are forgotten: a message that is sent again
at once is known from memory, one that is sent again later costs a query."""


class Repeats:
    """The message ids of one mailbox.

    Args:
        newest: The greatest id in the mailbox so far; '' if it holds none.

    Attributes:
        newest: The same, of now.
    """

    __slots__ = ("_devices", "_facts", "_horizon", "newest")

    def __init__(self, newest: str) -> None:
        self.newest = self._horizon = newest
        self._devices: dict[str, Seen] = {}
        self._facts: dict[tuple[str, str], int] = {}

    def is_repeat(self, device: str, message_id: str) -> bool | None:
        """Return whether the mailbox holds this message of this sender's device; None: look it up."""
        seen = self._devices.get(device)
        if seen is not None:
            known = seen.is_repeat(message_id)
        else:
            # Every id that the mailbox held before is at or below the horizon, whoever's it is.
            known = None if message_id <= self._horizon else False
        if known is None:
            found = self._facts.get((device, message_id))
            return None if found is None else found > 0
        return known

    def learn(self, facts: Iterable[tuple[str, str, int]]) -> None:
        """Take what was looked up: device, id, and the sender's last entry so far; 0 if it is no repeat."""
        for device, message_id, upto in facts:
            self._facts[device, message_id] = upto

    def take_fact(self, device: str, message_id: str) -> int:
        """Return what was looked up about a message, and forget it; 0 if nothing was."""
        return self._facts.pop((device, message_id), 0)

    def add(self, device: str, message_id: str) -> None:
        """Remember a message that was kept."""
        self.newest = max(self.newest, message_id)
        seen = self._devices.get(device)
        if seen is None:
            seen = self._devices[device] = Seen(self._horizon)
        seen.add(message_id)


class Seen:
    """The ids of one sender's device in one mailbox.

    An id that was seen is in memory, or not above the horizon. To forget one is to raise the horizon to it:

        seen 12:00:01, 12:00:02, 12:00:09    horizon 11:59:00    all three are known
        the first two are forgotten          horizon 12:00:02    up to 12:00:02 all has to be looked up

    Attributes:
        horizon: Every id above this that was seen is in memory; '' if none was seen before.
    """

    __slots__ = ("_ids", "_limit", "horizon")

    def __init__(self, horizon: str) -> None:
        self.horizon = horizon
        self._ids: set[str] = set()
        self._limit = _FEW

    def is_repeat(self, message_id: str) -> bool | None:
        """Return whether the id was seen; None: it has to be looked up."""
        if message_id in self._ids:
            return True
        return None if message_id <= self.horizon else False

    def add(self, message_id: str) -> None:
        """Remember an id; forget old ones, at the price of looking them up should they come again."""
        self._ids.add(message_id)
        if len(self._ids) >= self._limit:
            self._forget()

    def _forget(self) -> None:
        ordered = sorted(self._ids)
        oldest = _ms(ordered[-1]) - _KEEP_MS
        drop = sum(1 for each in ordered if _ms(each) < oldest)
        # A burst may be too large to keep, though all of it is recent.
        if len(ordered) - drop >= _MANY:
            drop = max(drop, len(ordered) // 2)
        if drop:
            self.horizon = max(self.horizon, ordered[drop - 1])
            self._ids = set(ordered[drop:])
        # Look again when there are twice as many: sorting costs the same for each id, however many are kept.
        self._limit = max(_FEW, 2 * len(self._ids))


def _ms(message_id: str) -> int:
    """Return the time inside a UUIDv7 in canonical form."""
    return int(message_id[:8] + message_id[9:13], 16)
