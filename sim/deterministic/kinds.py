"""The kinds of deterministic runs, and many of them played on several processes."""

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

from sim.deterministic import runner
from sim.deterministic.control import runner as control
from sim.deterministic.runner import Outcome, Totals

_CHUNK = 20
_CONTROL_EVERY = 8
"""A run of the control plane takes several times as long as one of the rules."""


class Kind(NamedTuple):
    """A kind of runs.

    Attributes:
        play: Plays the run of a seed.
        replay: Plays these steps, from a seed, the size of its world, and the steps.
    """

    play: Callable[[int], Outcome]
    replay: Callable[[int, Any, list[Any]], Outcome]


KINDS = {
    "rules": Kind(runner.play, runner.replay),
    "control": Kind(control.play, control.replay),
    "retention": Kind(partial(runner.play, small=True), runner.replay),
}
BOTH = "both"


def kind_of(seed: int, choice: str) -> str:
    """Return the kind of a seed's run; of ``both``, every eighth seed is one of the control plane."""
    if choice != BOTH:
        return choice
    return "control" if seed % _CONTROL_EVERY == 0 else "rules"


def play_many(seeds: range, jobs: int, choice: str) -> Iterator[Totals]:
    """Play the seeds on so many processes; yields totals of some of them as they come."""
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    if jobs == 1:
        yield from map(partial(_play_chunk, choice), chunks)
        return
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(partial(_play_chunk, choice), chunks)


def _play_chunk(choice: str, seeds: range) -> Totals:
    totals = Totals()
    for seed in seeds:
        totals.add(KINDS[kind_of(seed, choice)].play(seed))
    return totals
