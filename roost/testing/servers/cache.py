"""Redis in memory: what the deterministic runs have, and limiters, challenges and channels."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from api.identity.limits import Gcra, Limit
from roost.clock import Clock
from sim.deterministic.stores import Cache


class MemoryCache(Cache):
    """Implements ``storage.ports.Cache``.

    Args:
        clock: The time, for limiters and what expires.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._limiters: dict[str, Gcra] = {}
        self._challenges: dict[str, tuple[str, int]] = {}
        self._pending: dict[str, tuple[int, int]] = {}
        self._subscribers: list[tuple[frozenset[str], asyncio.Queue[tuple[str, str]]]] = []

    async def greatest_ids(self, devices: Sequence[str]) -> dict[str, str]:
        """Return the greatest id answered of each device."""
        wanted, found = set(devices), dict[str, str]()
        for device, message_id in self.answers:
            if device in wanted and message_id > found.get(device, ""):
                found[device] = message_id
        return found

    async def take(self, limiter: str, key: str, *, rate: float, burst: int, cost: int = 1) -> float:
        """Take tokens of a limiter, by the rules of one in a gateway."""
        known = self._limiters.setdefault(f"{limiter} {rate} {burst}", Gcra(Limit(rate, burst)))
        return known.take(key, self._clock(), cost)

    async def put_challenge(self, nonce: str, bound_to: str, ttl_s: int) -> None:
        """Keep what a challenge is bound to."""
        self._challenges[nonce] = bound_to, self._clock() + ttl_s * 1000

    async def take_challenge(self, nonce: str) -> str | None:
        """Take it out."""
        bound_to, until_ms = self._challenges.pop(nonce, ("", 0))
        return bound_to if self._clock() < until_ms else None

    async def publish(self, channel: str, message: str) -> None:
        """Tell every subscriber."""
        for channels, queue in self._subscribers:
            if channel in channels:
                queue.put_nowait((channel, message))

    async def subscribe(
        self, channels: Sequence[str], connected: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[tuple[str, str]]:
        """Yield what is published."""
        mine = frozenset(channels), asyncio.Queue[tuple[str, str]]()
        self._subscribers.append(mine)
        try:
            await connected()
            while True:
                yield await mine[1].get()
        finally:
            self._subscribers.remove(mine)

    async def claim_wakeup(self, device: str, ttl_s: int, at_ms: int) -> bool:
        """Mark a wake-up as pending."""
        if self._pending.get(device, (0, 0))[1] > self._clock():
            return False
        self._pending[device] = at_ms, self._clock() + ttl_s * 1000
        return True

    async def clear_wakeups(self, devices: Sequence[str]) -> list[int]:
        """The devices have synced."""
        known = [self._pending.pop(device) for device in devices if device in self._pending]
        return [at_ms for at_ms, until_ms in known if until_ms > self._clock()]

    async def put_presence(self, states: Mapping[str, tuple[bool, int]]) -> None:
        """No one reads it."""

    async def forget_user(self, user: str, devices: Sequence[str]) -> None:
        """Forget the user's actor, and what is pending for the devices."""
        self.snapshots.pop(user, None)
        for device in devices:
            self._pending.pop(device, None)

    async def ping(self) -> None:
        """Return: memory is always there."""

    async def close(self) -> None:
        """Nothing to close."""
