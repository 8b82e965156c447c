"""Bursts."""

from collections.abc import Iterator

from sim.workload import Act, Stage

_BURSTS = 4
_QUIET = 0.2
_SHARE_OF_TIME = 0.15


def story(stage: Stage) -> Iterator[Act]:
    """A quiet chat in which everyone writes at once, a few times, at five times the rate."""
    yield from stage.chat(shape=_shape)


def _shape(at: float) -> float:
    return 1.0 if (at * _BURSTS) % 1 > 1 - _SHARE_OF_TIME else _QUIET
