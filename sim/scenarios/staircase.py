"""The staircase."""

from collections.abc import Iterator

from sim.workload import Act, Stage

STEPS = 12
"""Steps of a run."""

GROWTH = 1.25
"""Each step's rate is so many times the rate of the one before."""


def story(stage: Stage) -> Iterator[Act]:
    """The rate rises step by step up to the given one: how much is too much?"""
    yield from stage.chat(shape=lambda at: GROWTH ** (step_of(at) - STEPS + 1))


def step_of(at: float) -> int:
    """Return the step, 0 to ``STEPS`` - 1, at a time of the run (0 to 1)."""
    return min(STEPS - 1, int(at * STEPS))
