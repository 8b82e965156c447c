"""Snapshots of passivated actors in Redis, each good for the one activation that it waits for."""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from actors.user import events as ev
from roost.errors import Unavailable
from storage.ports import Cache

log = structlog.get_logger()


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """A passivated actor in Redis; good only for the incarnation that wrote it, and as long as it is awaited.

    Attributes:
        incarnation: The host's.
        number: Number of the passivation in that incarnation.
        loaded: The actor's state.
    """

    incarnation: str
    number: int
    loaded: ev.Loaded


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class Snapshots:
    """The snapshots of one incarnation of a host; without Redis there are none.

    Args:
        cache: Redis.
        incarnation: The host's own.
    """

    def __init__(self, cache: Cache, incarnation: str) -> None:
        self._cache, self._incarnation = cache, incarnation
        self._passivations = 0
        self._awaited: dict[str, int] = {}  # of users who are not here: the one snapshot that is good

    async def put(self, snapshots: dict[str, ev.Loaded]) -> None:
        """Keep the snapshots, by user."""
        encoded: dict[str, bytes] = {}
        for user, loaded in snapshots.items():
            self._passivations += 1
            self._awaited[user] = self._passivations
            encoded[user] = _encode(Snapshot(self._incarnation, self._passivations, loaded))
        try:
            await self._cache.put_snapshots(encoded)
        except Unavailable as exc:
            log.warning("snapshots_dropped", reason=exc.detail, users=len(encoded))

    def outdate(self, concerns: Callable[[str], bool]) -> None:
        """Take no snapshot of these users from now on: something changes while they are away."""
        for user in [user for user in self._awaited if concerns(user)]:
            del self._awaited[user]

    async def take(self, users: Sequence[str]) -> dict[str, ev.Loaded]:
        """Return the state of the users of whom there is a good snapshot, each once."""
        # A write that was slow, or that another host followed, may leave an older snapshot than the last.
        good = {user: self._awaited.pop(user) for user in users if user in self._awaited}
        if not good:
            return {}
        try:
            taken = await self._cache.take_snapshots(list(good))
        except Unavailable:
            return {}
        snapshots = {user: _decode(value) for user, value in taken.items()}
        return {
            user: each.loaded
            for user, each in snapshots.items()
            if (each.incarnation, each.number) == (self._incarnation, good[user])
        }
