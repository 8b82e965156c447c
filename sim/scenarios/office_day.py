"""A day at the office."""

import math
from collections.abc import Iterator

from sim.workload import Act, Stage, together

_NIGHT = 0.05
_AT_LUNCH = 0.3
_LUNCH = (0.45, 0.6)


def story(stage: Stage) -> Iterator[Act]:
    """The rate rises and falls like a day; some are away at lunch and come back when a message comes."""
    begin, end = (part * stage.duration_s for part in _LUNCH)
    leaving = [
        stage.away(user, begin + stage.random.random() * (end - begin) / 2, end, wakes=True)
        for user in stage.some(_AT_LUNCH)
    ]
    yield from together(stage.chat(shape=_day), *leaving)


def _day(at: float) -> float:
    return _NIGHT + (1 - _NIGHT) * math.sin(math.pi * at) ** 2
