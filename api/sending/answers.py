"""Recent answers to sends: in memory, and in Redis for other gateways and for this one's next start."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from api.sending.send_request import SendRequest
from roost.errors import Unavailable
from roost.tasks import BackgroundTasks
from storage.ports import Accepted, Cache

_RECENT = 100_000
"""Answers kept in memory."""

_COMPANY_S = 0.1
"""A gateway that is the only one collects answers this long: each write costs as much as many."""

Key = tuple[str, str]
"""Sender's device, message id."""


class Answers:
    """Answers by sender's device and message id.

    A stream's id is looked for in Redis only where it can be there. A device makes ascending ids and has one
    stream at a time, so an id is new if it is above the greatest that was answered before the stream began
    and above all that came through the stream itself. Should it not be new (sent over HTTP elsewhere in the
    same moment), the recipient's actor drops the repeat.

    Attributes:
        alone: There is no other gateway, so only this one's next start reads what it writes, and a
            send need not wait for it.
        failures: Times that Redis failed and sends went on without it.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._recent: OrderedDict[Key, Accepted] = OrderedDict()
        self._unwritten: dict[Key, Accepted] = {}
        self._tasks = BackgroundTasks()
        self._writing = False
        self.alone = False
        self.failures = 0

    def get(self, key: Key) -> Accepted | None:
        """Return what this gateway knows."""
        return self._recent.get(key)

    async def find(self, keys: Sequence[Key]) -> Accepted | None:
        """Return the first answer to one of the keys, here or else in Redis; None while Redis is away."""
        here = next((answer for key in keys if (answer := self.get(key)) is not None), None)
        if here is not None:
            return here
        try:
            return next((answer for answer in await self._cache.recall(keys) if answer is not None), None)
        except Unavailable:
            return None

    def forget(self, key: Key) -> None:
        """Forget an answer that holds no longer."""
        del self._recent[key]

    async def recall(self, items: Iterable[SendRequest]) -> None:
        """Learn from Redis what was answered to those of the items that may have been sent before."""
        asked = [item for item in items if item.key not in self._recent and not _certainly_new(item)]
        if not asked:
            return
        try:
            before = await self._before(asked)
            found = await self._cache.recall([item.key for item in asked])
        except Unavailable:
            self.failures += 1
            return
        self._note({item.key: hit for item, hit in zip(asked, found, strict=True) if hit is not None})
        for item in asked:
            if item.ids is not None:
                item.ids.greatest = max(
                    item.ids.greatest or before.get(item.principal.device, ""), item.frame.id
                )

    async def _before(self, items: Sequence[SendRequest]) -> dict[str, str]:
        begun = {item.principal.device for item in items if item.ids and item.ids.greatest is None}
        return await self._cache.greatest_ids(sorted(begun)) if begun else {}

    async def remember(self, answers: Mapping[Key, Accepted]) -> None:
        """Keep the answers; returns once other gateways know them, if there are any."""
        self._note(answers)
        self._unwritten.update(answers)
        if not self.alone:
            await self._write()
        elif self._unwritten and not self._writing:
            self._writing = True
            self._tasks.spawn(self._write_on())

    async def close(self) -> None:
        """Write what is not written."""
        await self._tasks.wait()
        await self._write()

    async def _write_on(self) -> None:
        """Write what has come after a while, and what comes meanwhile."""
        try:
            while self._unwritten:
                await asyncio.sleep(_COMPANY_S)
                await self._write()
        finally:
            self._writing = False

    async def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        try:
            if unwritten:
                await self._cache.remember(unwritten)
        except Unavailable:
            self.failures += 1

    def _note(self, answers: Mapping[Key, Accepted]) -> None:
        self._recent.update(answers)
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)


def _certainly_new(item: SendRequest) -> bool:
    """Return whether the id is above all that its device sent before; if so it is the greatest now."""
    ids = item.ids
    if ids is None or ids.greatest is None or item.frame.id <= ids.greatest:
        return False
    ids.greatest = item.frame.id
    return True
