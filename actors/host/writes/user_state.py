"""The queue of what no record brings: blocks, presence, and wake-ups that brought their device back."""

from collections.abc import Iterator

import structlog

from actors.host.writes.queue import Answers, WriteQueue
from actors.user import effects as do
from roost.clock import Clock
from roost.errors import Unavailable
from storage.mailbox_rows import Block
from storage.ports import Cache, Store
from telemetry import metrics

log = structlog.get_logger()


class UserStateQueue(WriteQueue):
    """Writes blocks and the newest presence, and clears pending wake-ups."""

    def __init__(self, store: Store, cache: Cache, answers: Answers, clock: Clock) -> None:
        super().__init__("rest")
        self._store, self._cache, self._answers, self._clock = store, cache, answers, clock
        self._blocks: list[do.PutBlock] = []
        self._presence: dict[str, tuple[bool, int]] = {}
        self._came: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many writes are queued."""
        return len(self._blocks) + len(self._presence) + len(self._came)

    def block(self, effect: do.PutBlock) -> None:
        """Write the block and answer."""
        self._blocks.append(effect)
        self._added.set()

    def presence(self, user: str, *, online: bool, at_ms: int) -> None:
        """Record the newest presence."""
        self._presence[user] = (online, at_ms)
        self._added.set()

    def came(self, device: str) -> None:
        """Clear the device's pending wake-up."""
        self._came.add(device)
        self._added.set()

    def unwritten(self) -> Iterator[Block]:
        """Yield the blocks that are not durable, the newest of a pair last."""
        return (effect.block for effect in self._blocks)

    async def write(self) -> None:
        """Write all."""
        while self._blocks:
            effect = self._blocks[0]
            await self._store.accounts.set_block(effect.block)
            self._blocks.pop(0)
            self._answers.durable([effect.token])
        came, self._came = self._came, set()
        presence, self._presence = self._presence, {}
        try:
            if came:
                for since_ms in await self._cache.clear_wakeups(sorted(came)):
                    metrics.FETCHED_SECONDS.observe(max(0, self._clock() - since_ms) / 1000)
            if presence:
                await self._cache.put_presence(presence)
        except Unavailable as exc:
            # Redis holds nothing that is not elsewhere: a pending wake-up ends with its TTL.
            log.warning("cache_write_dropped", reason=exc.detail)
        if seen := {user: at_ms for user, (online, at_ms) in presence.items() if not online}:
            await self._store.accounts.touch_users(seen)
