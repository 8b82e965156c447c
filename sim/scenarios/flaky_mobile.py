"""Phones on the move."""

from collections.abc import Iterator
from typing import get_args

from sim.workload import Act, Break, Breakage, Stage, together

_BREAKS_EVERY_S = 10.0
"""A phone breaks in some way this often, on average."""


def story(stage: Stage) -> Iterator[Act]:
    """Connections end or go silent, sends go out twice, apps die between receiving and taking."""
    yield from together(stage.chat(), _breaks(stage))


def _breaks(stage: Stage) -> Iterator[Act]:
    for at in stage.times(stage.users / _BREAKS_EVERY_S):
        how: Breakage = stage.random.choice(get_args(Breakage))
        yield Break(at, stage.random.randrange(stage.users), how)
