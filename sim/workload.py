"""The workload: a plan of acts, drawn from one seed. Pure.

A scenario is a function from a `Stage` to acts. The same seed gives the same plan in every process,
so each worker draws all of it and keeps what its own people do.
"""

import heapq
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal

from msgspec import Struct

Shape = Callable[[float], float]
"""The rate at a time of the run (0 to 1), as a factor 0 to 1 of the greatest rate."""

CONTACTS = 8
"""Whom a user knows, about."""

_MEDIAN = 80
_LONGEST = 8_000
"""Bytes of a text."""

Breakage = Literal["cut", "half_open", "crash", "repeat"]
"""What happens to a phone: its connection ends; its connection goes silent while the server still holds it;
its app dies between having received a message and having taken it; its next sends go out twice."""


class Say(Struct, frozen=True):
    """``user`` writes to ``to``: a text of about ``size`` bytes.

    Attributes:
        expires_s: It disappears after so many seconds, if any.
    """

    at_s: float
    user: int
    to: int
    size: int
    expires_s: int = 0


class Leave(Struct, frozen=True):
    """The app of ``user`` is closed on every phone.

    Attributes:
        wakes: It comes back by itself when a push arrives.
    """

    at_s: float
    user: int
    wakes: bool = False


class Return(Struct, frozen=True):
    """The app of ``user`` is opened again, if it is closed."""

    at_s: float
    user: int


class Break(Struct, frozen=True):
    """Something happens to the phone of ``user``."""

    at_s: float
    user: int
    how: Breakage


class Export(Struct, frozen=True):
    """``user`` asks for all that the server holds on it."""

    at_s: float
    user: int


class Erase(Struct, frozen=True):
    """``user`` deletes the account, and does nothing more."""

    at_s: float
    user: int


Act = Say | Leave | Return | Break | Export | Erase


def flat(_at: float) -> float:
    """Always the greatest rate."""
    return 1.0


class Stage:
    """What a scenario draws from.

    Args:
        users: How many there are; a user is a number below it.
        rate: Messages a second, where the shape is 1.
        duration_s: Length of the run.
        seed: Decides everything.
    """

    def __init__(self, users: int, rate: float, duration_s: float, seed: int) -> None:
        self.users, self.rate, self.duration_s = users, rate, duration_s
        self.random = random.Random(seed)  # noqa: S311 - a plan, not a secret
        self._contacts: list[list[int]] = []
        self._weights = list(accumulate(1 / rank for rank in range(1, CONTACTS + 1)))

    def everyone(self) -> range:
        """Return all users."""
        return range(self.users)

    def some(self, share: float) -> list[int]:
        """Return so many of the users, at least one."""
        return sorted(self.random.sample(range(self.users), max(1, round(share * self.users))))

    def times(
        self, rate: float, shape: Shape = flat, begin_s: float = 0, end_s: float | None = None
    ) -> Iterator[float]:
        """Yield the times of a Poisson process (seconds), thinned by the shape."""
        end = self.duration_s if end_s is None else end_s
        at = begin_s
        while rate > 0:
            at += self.random.expovariate(rate)
            if at >= end:
                return
            if self.random.random() < shape(at / self.duration_s):
                yield at

    def contact(self, user: int) -> int:
        """Draw whom the user writes to: few get most of it (Zipf's law over the user's contacts)."""
        if not self._contacts:
            self._contacts = self._acquaintances()
        known = self._contacts[user]
        weights = self._weights[: len(known)]
        return known[bisect_left(weights, self.random.random() * weights[-1])]

    def _acquaintances(self) -> list[list[int]]:
        """Draw who knows whom: mutual, everyone has about as many; all sit round some tables in turn."""
        known: list[list[int]] = [[] for _ in self.everyone()]
        around = list(self.everyone())
        for _ in range(CONTACTS // 2):
            self.random.shuffle(around)
            for left, right in zip(around, [*around[1:], around[0]], strict=True):
                if left != right and right not in known[left]:
                    known[left].append(right)
                    known[right].append(left)
        return known

    def size(self) -> int:
        """Draw the length of a text in bytes: log-normal, as people write."""
        return max(1, min(_LONGEST, round(self.random.lognormvariate(math.log(_MEDIAN), 1.0))))

    def chat(
        self,
        *,
        shape: Shape = flat,
        speakers: Sequence[int] | None = None,
        to: Callable[[int], int] | None = None,
        share: float = 1.0,
        begin_s: float = 0,
        end_s: float | None = None,
        expires_s: int = 0,
    ) -> Iterator[Act]:
        """Yield messages between contacts.

        Args:
            shape: How the rate goes over the run.
            speakers: Who writes; everyone by default.
            to: Whom a user writes to; one of the contacts by default.
            share: Part of the stage's rate.
            begin_s: From here.
            end_s: To here; the end of the run by default.
            expires_s: They disappear after so many seconds, if any.
        """
        who = self.everyone() if speakers is None else speakers
        for at in self.times(self.rate * share, shape, begin_s, end_s):
            user = self.random.choice(who)
            other = self.contact(user) if to is None else to(user)
            if other != user:
                yield Say(at, user, other, self.size(), expires_s)

    def away(self, user: int, begin_s: float, end_s: float, *, wakes: bool = False) -> Iterator[Act]:
        """Yield that the user is away for a while."""
        yield Leave(begin_s, user, wakes)
        yield Return(end_s, user)


Scenario = Callable[[Stage], Iterable[Act]]
"""One story, in the order of time. Its docstring's first line says what it is about."""


def plan(scenario: Scenario, stage: Stage) -> list[Act]:
    """Return the acts of a scenario in the order of time."""
    return list(scenario(stage))


def together(*stories: Iterable[Act]) -> Iterator[Act]:
    """Merge the acts of several stories; each must be in the order of time."""
    return heapq.merge(*stories, key=_at)


def _at(act: Act) -> float:
    return act.at_s
