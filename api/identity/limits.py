"""Named rate limiters, and what they do while Redis is away.

Every limiter is a GCRA (a token bucket that stores one number). A *shared* one counts in Redis,
over all gateways; while Redis is away it *fails to local*: the gateway counts for itself with the
same numbers, so that an outage neither locks everyone out nor lets everyone in. A *local* one
never asks Redis, because the call would cost more than what it guards: its bound holds per
gateway and device, and a device has one stream.
"""

import math
from collections import Counter, OrderedDict
from typing import Literal

from msgspec import Struct

from cluster.settings.clients import Limits as Settings
from roost.clock import Clock
from roost.errors import RoostError, Unavailable
from storage.ports import Cache

_KEPT = 100_000


class Limit(Struct, frozen=True):
    """How often.

    Attributes:
        rate: Tokens a second; bytes where they are counted.
        burst: Tokens that may be used at once.
        scope: Where it counts.
    """

    rate: float
    burst: int
    scope: Literal["shared", "local"] = "shared"


_LOCAL = {
    "transfers",
    "lookups",
    "searches",
    "requests",
    "sends",
    "typing",
    "bytes_by_device",
    "bytes_by_pair",
    "bytes_to_user",
}
"""The others are shared."""


def limits_of(settings: Settings) -> dict[str, Limit]:
    """Return each limiter of the settings by its name."""
    return {
        name: Limit(rate.rate, rate.burst, "local" if name in _LOCAL else "shared") for name, rate in settings
    }


DEFAULTS = limits_of(Settings())
"""Limiter by name, for who hands in no other."""


class Gcra:
    """A GCRA in memory, for many keys; the least recently used are forgotten."""

    def __init__(self, limit: Limit, kept: int = _KEPT) -> None:
        self._interval = 1000.0 / limit.rate
        self._tolerance = self._interval * limit.burst
        self._kept = kept
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, now_ms: int, cost: int = 1) -> float:
        """Take tokens: 0.0 if there were as many, else the seconds until there are."""
        kept = self._arrivals.get(key, 0.0)
        if kept > now_ms + self._tolerance:  # more than a burst ahead: the clock was set back
            kept = self._arrivals[key] = now_ms + self._tolerance
        arrival = max(kept, now_ms) + self._interval * cost
        ahead = arrival - now_ms - self._tolerance
        if ahead > 0:
            return ahead / 1000.0
        self._arrivals[key] = arrival
        self._arrivals.move_to_end(key)
        if len(self._arrivals) > self._kept:
            self._arrivals.popitem(last=False)
        return 0.0

    def full_at_ms(self, key: str) -> float:
        """Return when the key has all its tokens again; 0: it has."""
        return self._arrivals.get(key, 0.0)

    def lowest(self, prefix: str) -> str | None:
        """Return the key with this prefix that has the fewest tokens, None if none was used."""
        keys = (key for key in self._arrivals if key.startswith(prefix))
        return max(keys, key=self.full_at_ms, default=None)


class Left(Struct, frozen=True):
    """How much of a limiter is left to someone.

    Attributes:
        name: The limiter's.
        left: Tokens that may be used at once.
        of: As many as there can be.
        resets_at_ms: When there are as many again.
    """

    name: str
    left: int
    of: int
    resets_at_ms: int


class Limits:
    """All limiters of a gateway.

    Attributes:
        failed_to_local: How often a shared limiter had to count locally.
        hits: How often each limiter, by name, made a caller wait.
    """

    def __init__(self, cache: Cache, clock: Clock, limits: dict[str, Limit] | None = None) -> None:
        self._cache = cache
        self._clock = clock
        self._limits = DEFAULTS | (limits or {})
        self._local = {name: Gcra(limit) for name, limit in self._limits.items()}
        self.failed_to_local = 0
        self.hits: Counter[str] = Counter(dict.fromkeys(self._limits, 0))

    def wait_s(self, name: str, key: str, now_ms: int, cost: int = 1) -> float:
        """Take tokens of a limiter in this process: 0.0, or the seconds until there are as many."""
        wait = self._local[name].take(key, now_ms, cost)
        self.hits[name] += wait > 0
        return wait

    def wait_here(self, name: str, key: str, cost: int = 1) -> float:
        """Take tokens of a limiter in this process now: 0.0, or the seconds until there are as many."""
        return self.wait_s(name, key, self._clock(), cost)

    def check_here(self, name: str, key: str) -> None:
        """Take a token of a limiter in this process.

        Raises:
            RoostError: ``rate_limited``, with the pause that helps.
        """
        wait = self.wait_here(name, key)
        if wait > 0:
            raise limited(name, wait)

    async def check(self, name: str, key: str) -> None:
        """Take a token.

        Raises:
            RoostError: ``rate_limited``, with the pause that helps.
        """
        wait = await self.wait(name, key)
        if wait > 0:
            raise limited(name, wait)

    async def wait(self, name: str, key: str) -> float:
        """Take a token: 0.0, or the seconds until there is one."""
        limit = self._limits[name]
        if limit.scope == "local":
            return self.wait_here(name, key)
        try:
            wait = await self._cache.take(name, key, rate=limit.rate, burst=limit.burst)
            self.hits[name] += wait > 0
        except Unavailable:
            self.failed_to_local += 1
            wait = self.wait_here(name, key)
        return wait

    async def left(self, name: str, key: str) -> Left:
        """Return what is left of a shared limiter, and take nothing."""
        try:
            full_at_ms = await self._cache.full_at_ms(name, key)
        except Unavailable:
            self.failed_to_local += 1
            return self.left_here(name, key)
        return self._left(name, full_at_ms)

    def left_here(self, name: str, key: str) -> Left:
        """Return what is left of a limiter in this process, and take nothing."""
        return self._left(name, self._local[name].full_at_ms(key))

    def lowest_here(self, name: str, prefix: str) -> str | None:
        """Return the key with this prefix that has the least left in this process, None if none was used."""
        return self._local[name].lowest(prefix)

    def _left(self, name: str, full_at_ms: float) -> Left:
        limit, now = self._limits[name], self._clock()
        ahead_ms = min(max(0.0, full_at_ms - now), limit.burst * 1000 / limit.rate)
        left = limit.burst - math.ceil(ahead_ms * limit.rate / 1000)
        return Left(name, left, limit.burst, round(now + ahead_ms))


def limited(name: str, wait_s: float) -> RoostError:
    """Make the error that tells the client how long to wait."""
    return RoostError(
        "rate_limited",
        f"Too many {name.split('_', maxsplit=1)[0]} from here; wait {max(wait_s, 0.001):.3f} s.",
        retry_after_s=round(max(wait_s, 0.001), 3),
    )
