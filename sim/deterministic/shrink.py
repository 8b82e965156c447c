"""Makes a failing run shorter: leaves out steps as long as the same invariant breaks."""

from collections.abc import Callable, Sequence
from typing import Any

Fails = Callable[[list[Any]], bool]
"""Says whether a run of these steps still breaks the invariant."""


def shrink(steps: Sequence[Any], fails: Fails, tries: int = 2_000) -> list[Any]:
    """Return a part of the steps that still fails: none of them can be left out, if the tries suffice.

    Whole pieces are left out first, then smaller ones (delta debugging).
    Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.

    Args:
        steps: A failing run.
        fails: Plays a run.
        tries: How many runs to play at most.
    """
    kept, size = list(steps), max(1, len(steps) // 2)
    while tries > 0:
        shorter, tries = _without_pieces(kept, size, fails, tries)
        if len(shorter) == len(kept) and size == 1:
            break
        kept = shorter
        size = max(1, min(size // 2, len(kept) // 2))
    return kept


def _without_pieces(steps: list[Any], size: int, fails: Fails, tries: int) -> tuple[list[Any], int]:
    """Try to do without each piece of this size, from the end to the beginning."""
    end = len(steps)
    while end > 0 and tries > 0:
        begin = max(0, end - size)
        candidate = steps[:begin] + steps[end:]
        tries -= 1
        if fails(candidate):
            steps = candidate
        end = begin
    return steps, tries
