"""The trimmer: deletes the oldest records of the log, and never past what is stored.

For a log that nothing else trims: the embedded broker's, which deletes nothing by itself. The coordinator
runs this. What may go is read from where readers would begin again: ``log.stored`` in MongoDB for the
routers, the group's offsets for the pushers. It is remembered for a while before it is used, so that a
reader that begins at this moment, from what was true a moment ago, still finds its place.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from roost.errors import Unavailable
from storage.ports import ClusterState, LogAdmin
from storage.topics import MAILBOX, PUSH, PUSHERS, TOPICS

LOOK_EVERY_S: Final = 20.0
_SETTLED_S: Final = 10.0
"""For so long an offset must have been stored before records below it are deleted."""

log = structlog.get_logger()

Offsets = dict[str, dict[int, int]]
"""By topic and shard: everything below is stored, or finished."""


class _Mark(NamedTuple):
    at_s: float
    stored: Offsets


class Trimmer:
    """Deletes the oldest stored records.

    Args:
        store: Knows what is stored.
        admin: Deletes.
        keep_bytes: Above this, stored records go, the oldest first.
        keep_s: Stored records go after this.
        now: Seconds, from a clock that never goes back.
    """

    def __init__(
        self, store: ClusterState, admin: LogAdmin, keep_bytes: int, keep_s: float, now: Callable[[], float]
    ) -> None:
        self._store, self._admin = store, admin
        self._keep_bytes, self._keep_s = keep_bytes, max(keep_s, _SETTLED_S)
        self._now = now
        self._marks: deque[_Mark] = deque()
        self._lives: dict[int, tuple[int, int]] = {}
        self._committed: dict[int, int] = {}
        self._trimmed: Offsets = {}

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Unavailable as exc:
                log.info("trim_postponed", reason=exc.detail)

    async def look(self) -> None:
        """Note what is stored by now, and delete what is over a limit."""
        await self._note()
        while (mark := self._oldest_to_go()) is not None or (mark := await self._too_much()) is not None:
            await self._trim(mark)
            self._marks.popleft()

    async def _note(self) -> None:
        states = await self._store.log_states()
        committed = await self._admin.committed(PUSH, PUSHERS)
        lives = {shard: (state.base, state.pushes) for shard, state in states.items()}
        if lives != self._lives:
            # Another log: what was noted of the old one says nothing about it. A group's offsets may outlive
            # the log that they are of: they count once they have moved.
            self._lives, self._committed = lives, committed
            self._marks.clear()
            self._trimmed.clear()
        stored: Offsets = {
            MAILBOX: {shard: state.stored for shard, state in states.items()},
            PUSH: {shard: at for shard, at in committed.items() if at != self._committed.get(shard)},
        }
        if not self._marks or self._marks[-1].stored != stored:
            self._marks.append(_Mark(self._now(), stored))

    def _oldest_to_go(self) -> _Mark | None:
        mark = self._marks[0] if self._marks else None
        return mark if mark is not None and self._now() - mark.at_s >= self._keep_s else None

    async def _too_much(self) -> _Mark | None:
        mark = self._marks[0] if self._marks else None
        if mark is None or self._now() - mark.at_s < _SETTLED_S:
            return None
        sizes = [sum((await self._admin.sizes(topic)).values()) for topic in TOPICS]
        return mark if sum(sizes) > self._keep_bytes else None

    async def _trim(self, mark: _Mark) -> None:
        for topic, stored in mark.stored.items():
            offsets = self._news(topic, stored)
            if offsets:
                await self._admin.trim(topic, offsets)
                self._trimmed.setdefault(topic, {}).update(offsets)
                log.debug("log_trimmed", topic=topic, shards=len(offsets))

    def _news(self, topic: str, stored: Mapping[int, int]) -> dict[int, int]:
        """Return where to delete up to: one less than is stored, so that the newest record always stays.

        A broker that was killed takes a shard's end from the records that it finds. With none it would begin
        at 0 again, and the log would count as lost.
        """
        before = self._trimmed.get(topic, {})
        return {shard: at - 1 for shard, at in stored.items() if at - 1 > before.get(shard, 0)}
