"""The cache: answers, limiters, channels between gateways, presence and wake-ups."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct


class Accepted(Struct, array_like=True, frozen=True):
    """What a gateway answered for a message, so that a retry gets the same answer."""

    to: str
    seq: int
    accepted_at_ms: int
    digest: bytes


class Cache(Protocol):
    """Redis: nothing in it that cannot be rebuilt; every key has a TTL."""

    async def recall(self, keys: Sequence[tuple[str, str]]) -> list[Accepted | None]:
        """Return what was answered for each (sender's device, message id), None where unknown."""
        ...

    async def greatest_ids(self, devices: Sequence[str]) -> dict[str, str]:
        """Return the greatest message id that was answered of each device, where one is known."""
        ...

    async def remember(self, answers: Mapping[tuple[str, str], Accepted]) -> None:
        """Keep the answers for a while (evicted when memory runs short)."""
        ...

    async def take(self, limiter: str, key: str, *, rate: float, burst: int, cost: int = 1) -> float:
        """Take ``cost`` tokens of a GCRA limiter refilled at ``rate`` per second.

        Returns:
            0.0 if there were enough (they are taken), else the seconds until there will be
            (nothing is taken). Atomic.
        """
        ...

    async def full_at_ms(self, limiter: str, key: str) -> float:
        """Return when a GCRA limiter has all its tokens again, in Unix milliseconds; 0: it has."""
        ...

    async def put_challenge(self, nonce: str, bound_to: str, ttl_s: int) -> None:
        """Keep what a challenge is bound to."""
        ...

    async def take_challenge(self, nonce: str) -> str | None:
        """Take out what a challenge is bound to; None if it was taken, has expired, or never was. Atomic."""
        ...

    async def publish(self, channel: str, message: str) -> None:
        """Tell every subscriber; at most once."""
        ...

    def subscribe(
        self, channels: Sequence[str], connected: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[tuple[str, str]]:
        """Yield (channel, message) without end, reconnecting by itself.

        ``connected`` is awaited after every (re)connection, before the first message: what was
        published in between was missed, so the caller reads the truth again there.
        """
        ...

    async def put_presence(self, states: Mapping[str, tuple[bool, int]]) -> None:
        """Keep ``{user: (online, last_seen_ms)}`` for a while."""
        ...

    async def put_snapshots(self, snapshots: Mapping[str, bytes]) -> None:
        """Keep the state of passivated actors, by user id."""
        ...

    async def take_snapshots(self, users: Sequence[str]) -> dict[str, bytes]:
        """Take the snapshots out; each is given out once only."""
        ...

    async def claim_wakeup(self, device: str, ttl_s: int, at_ms: int) -> bool:
        """Mark a wake-up as pending for the device since ``at_ms``; False if one is already. Atomic."""
        ...

    async def clear_wakeups(self, devices: Sequence[str]) -> list[int]:
        """The devices have synced: they may be woken again.

        Returns:
            Since when one was pending, of those for which one was, in Unix milliseconds; each is told once.
        """
        ...

    async def forget_user(self, user: str, devices: Sequence[str]) -> None:
        """Forget a user's presence and actor, and what is kept by the devices; answers expire in a day."""
        ...

    async def ping(self) -> None:
        """Return if the server answers."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
