"""The bases of a log's numbers: above everything that was given out before. Pure.

A new base is 2**32 past everything that the log before can have given out. It is never behind the clock
either, so that a copy of MongoDB that was put back gives out nothing that was given out since it was made.
"""

from collections.abc import Mapping
from typing import Final

from storage.cluster_rows import LogState

FIRST_BASE: Final = 1
BASE_STEP: Final = 2**32

_CLOCK_BEGAN_MS: Final = 1_767_225_600_000
"""2026-01-01 UTC."""

_NUMBERS_EACH_MS: Final = 2**11
"""More than a shard can give out; a base of 2100 is still far below 2**53."""

_CLOCK_LIMIT: Final = 2**52
"""A clock that says more is wrong, and is not followed: numbers must stay below 2**53."""

_LOGS_KNOWN: Final = 64
"""Earlier logs of a shard whose ends are remembered."""


def raised(state: LogState, start: int, now_ms: int) -> LogState:
    """Return the state of a shard from whose offset ``start`` on every number is one never given out."""
    by_clock = (now_ms - _CLOCK_BEGAN_MS) * _NUMBERS_EACH_MS
    past = state.base + state.stored + BASE_STEP
    base = max(past, by_clock) if by_clock < _CLOCK_LIMIT else past
    return LogState(state.shard, base, start, state.pushes, state.spans()[-_LOGS_KNOWN:])


def added(states: Mapping[int, LogState], shards: int, now_ms: int) -> list[LogState]:
    """Return the states of those shards that are missing of so many.

    A new one begins above all that any other can have given out, and what the one that its users come from
    has handled counts as handled by it.
    """
    base = max((raised(state, 0, now_ms).base for state in states.values()), default=FIRST_BASE)
    present = shards
    while present and any(shard not in states for shard in range(present)):
        present //= 2  # the number before: it was multiplied by a power of two
    missing = (shard for shard in range(shards) if shard not in states)
    if not present:
        return [LogState(shard, base, 0) for shard in missing]
    return [LogState(s, base, 0, before=states[s % present].spans()[-_LOGS_KNOWN:]) for s in missing]
