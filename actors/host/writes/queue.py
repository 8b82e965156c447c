"""A queue of one kind of write: its loop, and the questions that wait for writes."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import structlog

from roost.tasks import backoff

log = structlog.get_logger()


Pair = tuple[str, str]
"""A user id, and the id of one of its devices or peers."""


class Answers:
    """Questions that are answered when what they asked for is durable, which may be several writes.

    Args:
        answer: Called with the token of a question.
    """

    def __init__(self, answer: Callable[[object], None]) -> None:
        self._answer = answer
        self._owed: dict[object, int] = {}

    def owe(self, token: object) -> None:
        """One more write has to be durable before the answer. A token that is owed once need not be owed."""
        self._owed[token] = self._owed.get(token, 0) + 1

    def durable(self, tokens: Iterable[object]) -> None:
        """A write of each is durable: answer those that wait for no other."""
        for token in tokens:
            left = self._owed.pop(token, 1) - 1
            if left:
                self._owed[token] = left
            else:
                self._answer(token)


class WriteQueue(ABC):
    """A queue and its loop: something is added, more is collected for a while, all is written at once.

    Every write is idempotent: one that failed, or whose fate is unknown, is done again.

    Attributes:
        name: Of the queue, in figures and in the log.
        linger_s: How long is collected, in seconds, unless a question waits for it.
    """

    def __init__(self, name: str, linger_s: float = 0.0) -> None:
        self.name = name
        self.linger_s = linger_s
        self._added = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many writes are queued or in flight."""

    @abstractmethod
    async def write(self) -> None:
        """Write what is queued; what fails stays queued.

        Raises:
            Unavailable: A server is away.
        """

    def hurry(self) -> None:
        """Collect no longer: write what waits."""
        self._hurried.set()

    async def run(self) -> None:
        """Write whenever something is there."""
        pauses = backoff()
        while True:
            await self._added.wait()
            self._added.clear()
            await self._collect()
            try:
                await self.write()
                pauses = backoff()
            except Exception as exc:  # noqa: BLE001 - a write loop that ended would lose what it was given
                log.warning("write_postponed", queue=self.name, reason=str(exc), kind=type(exc).__name__)
                await asyncio.sleep(next(pauses))
                self._added.set()

    async def _collect(self) -> None:
        if self.linger_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.linger_s):
                    await self._hurried.wait()
        self._hurried.clear()
