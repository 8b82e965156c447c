"""The way between processes and servers: slow, cut or troubled, as the run says."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from random import Random
from typing import Any, Literal, TypeVar

from roost.errors import Unavailable
from sim.deterministic.control.virtual_time import Life, VirtualLoop, life

T = TypeVar("T")

Fate = Literal["refused", "lost", "late"]
"""A call does nothing; it works, and the caller is told that it did not; its reply takes long."""

FATES: tuple[Fate, ...] = ("refused", "lost", "late")
SERVERS = ("store", "log", "cache", "calls")
"""What can be troubled; ``calls`` are those from process to process."""

APART_S = 1e-6
"""Between two messages that are to keep their order: of two timers for one moment either may be first."""

_SOON_S = 0.001
_LATE_S = 4.0
_GIVEN_UP_S = 2.0


class Network:
    """All of it.

    Attributes:
        away: Servers that do not answer.
        cut: Machines that reach no other machine; servers they reach.
        severed: Machines that reach no server.
        troubles: What becomes of the next calls of a server.
        ended: Hears of a life that ends within one of its calls.
        noted: Hears of every call that is on its way, and when.
    """

    def __init__(self, loop: VirtualLoop, rng: Random, slowest_s: float) -> None:
        self.loop = loop
        self._rng, self._slowest_s = rng, slowest_s
        self.away: set[str] = set()
        self.cut: set[str] = set()
        self.severed: set[str] = set()
        self.troubles: defaultdict[str, deque[Fate]] = defaultdict(deque)
        self.ended: Callable[[Life], None] = lambda _: None
        self.noted: Callable[[str, float], None] = lambda *_: None

    def latency_s(self) -> float:
        """Draw how long one way takes."""
        return _SOON_S + self._rng.random() ** 3 * self._slowest_s

    def linked(self, one: str, other: str) -> bool:
        """Return whether two machines reach each other."""
        return one == other or not {one, other} & self.cut

    def reaches(self, node: str, server: str) -> bool:
        """Return whether a machine reaches a server."""
        return server not in self.away and node not in self.severed

    def troubled(self, server: str) -> Fate | None:
        """Return what is to become of the next call."""
        waiting = self.troubles[server]
        return waiting.popleft() if waiting else None

    def count(self) -> Life | None:
        """Count a call of the running life, which may be its last; return whose it is.

        Raises:
            asyncio.CancelledError: It is dead.
        """
        mine = life()
        if mine is None:
            return None
        if mine.dies_in is not None and not mine.dead:
            mine.dies_in -= 1
            if mine.dies_in <= 0:
                self.loop.end_life(mine)
                self.ended(mine)
        if mine.dead:
            raise asyncio.CancelledError
        return mine

    async def ask(self, server: str, work: Callable[[], T]) -> T:
        """Have a server do something. What is on its way arrives, whether or not the caller lives on.

        Raises:
            Unavailable: It is not known whether it was done.
        """
        mine = self.count()
        future: asyncio.Future[T] = self.loop.create_future()
        fate = self.troubled(server)
        if (mine is not None and not self.reaches(mine.node, server)) or fate == "refused":
            pause_s = _SOON_S if fate == "refused" else _GIVEN_UP_S
            self._later(pause_s, _fail, future, Unavailable(f"The {server} is away."))
        else:
            self._later(self.latency_s(), self._arrived, future, work, fate)
            self.noted(server, self.loop.time())
        result = await future
        self.count()
        return result

    def _arrived(self, future: "asyncio.Future[T]", work: Callable[[], T], fate: Fate | None) -> None:
        try:
            result = work()
        except Exception as exc:  # noqa: BLE001 -- it is the caller's
            self._later(self.latency_s(), _fail, future, exc)
            return
        if fate == "lost":
            self._later(_GIVEN_UP_S, _fail, future, Unavailable("The reply was lost."))
        else:
            self._later(self.latency_s() + (_LATE_S if fate == "late" else 0.0), _reply, future, result)

    def _later(self, seconds: float, call: Callable[..., Any], *args: Any) -> None:
        self.loop.call_later(seconds, call, *args)


def _reply(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", reason: Exception) -> None:
    if not future.done():
        future.set_exception(reason)
