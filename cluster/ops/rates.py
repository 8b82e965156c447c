"""Rates and latencies of one step, from what roles have counted. Pure.

A role counts from its start and says when it looked, so a rate is the difference of two of its looks over
the time between them: it does not matter when its heartbeat came. Percentiles are of the observations of all
roles together, as Prometheus reckons them from buckets.

    gateway-1   10.0 s: accepted 100    12.1 s: accepted 310    -> 100 a second
    gateway-2    9.5 s: accepted   0    11.5 s: accepted  40    ->  20 a second
    together                                                       120
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from telemetry.role_figures import BOUNDS, RoleFigures

_STALE_STEPS: Final = 3
"""A role that says nothing new for so many steps has no rates."""

RATES: Final = {
    "accepted_per_s": "accepted",
    "delivered_per_s": "delivered",
    "stored_per_s": "stored",
    "pushes_per_s": "push.sent",
    "pushes_failed_per_s": "push.dead",
    "streams_opened_per_s": "opened",
    "displaced_per_s": "ended.displaced",
    "too_slow_per_s": "ended.too_slow",
}
"""Figure by figure, what is counted."""

SUMS: Final = {"refused_per_s": "refused.", "limited_per_s": "limited."}
"""Figures that are of all counts whose name begins like that."""

SHOWN_APART: Final = ("limited.", "push.")
"""Counts that are shown one by one, under their own names, as well."""

PERCENTILES: Final = {
    "accept_p50_ms": ("accept", 0.5),
    "accept_p99_ms": ("accept", 0.99),
    "deliver_p50_ms": ("deliver", 0.5),
    "deliver_p99_ms": ("deliver", 0.99),
    "store_commit_p95_ms": ("store", 0.95),
    "store_commit_p99_ms": ("store", 0.99),
    "wake_p95_ms": ("wake", 0.95),
}


class Look(Struct, frozen=True):
    """What a role said last, and which process it was."""

    incarnation: str
    figures: RoleFigures


class Step(Struct):
    """What all roles did in a step.

    Attributes:
        rates: Of each count, in 1/s.
        cpu: Cores in use, by role's name.
        counted: By how much each count rose.
        observed: How many observations came into each bucket, by the name of the histogram.
    """

    rates: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=dict)
    own: dict[str, dict[str, float]] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    observed: dict[str, list[int]] = field(default_factory=dict)


class _Past(Struct):
    look: Look
    rates: dict[str, float] = field(default_factory=dict)
    cpu: float | None = None
    unchanged: int = 0


class Rates:
    """Takes the differences."""

    def __init__(self) -> None:
        self._pasts: dict[str, _Past] = {}

    def step(self, looks: Mapping[str, Look]) -> Step:
        """Return what happened since the step before.

        Args:
            looks: The last of each role that runs.
        """
        step = Step()
        for name in self._pasts.keys() - looks.keys():
            del self._pasts[name]
        for name, look in looks.items():
            past = self._pasts.get(name)
            if past is None:
                self._pasts[name] = _Past(look)  # what it did before we were here is no news
                continue
            _take(step, past, look)
            step.rates.update(past.rates)
            step.own[name] = past.rates
            if past.cpu is not None:
                step.cpu[name] = past.cpu
        return step


def _take(step: Step, past: _Past, look: Look) -> None:
    before, now = past.look.figures, look.figures
    if look.incarnation != past.look.incarnation:
        past.rates, past.cpu = {}, None
        before = RoleFigures(now.at_s, 0.0, 0, 0, 0)
    elif now.at_s <= before.at_s:
        past.unchanged += 1
        if past.unchanged >= _STALE_STEPS:
            past.rates, past.cpu = {}, None
        return
    past.look, past.unchanged = look, 0
    counted = {name: max(0.0, count - before.counts.get(name, 0)) for name, count in now.counts.items()}
    step.counted.update({name: count for name, count in counted.items() if count})
    for name, buckets in now.times.items():
        _add(step.observed, name, buckets, before.times.get(name, ()))
    if (elapsed_s := now.at_s - before.at_s) > 0:
        past.rates = {name: count / elapsed_s for name, count in counted.items()}
        past.cpu = (now.cpu_s - before.cpu_s) / elapsed_s


def _add(observed: dict[str, list[int]], name: str, now: Sequence[int], before: Sequence[int]) -> None:
    if len(now) != len(BOUNDS.get(name, ())):
        return  # of a release with other buckets
    earlier = before if len(before) == len(now) else [0] * len(now)
    sums = observed.setdefault(name, [0] * len(now))
    for bucket, (count, then) in enumerate(zip(now, earlier, strict=True)):
        sums[bucket] += max(0, count - then)


def values_of(step: Step) -> dict[str, float | None]:
    """Return the figures of a step that come from counts and times."""
    values: dict[str, float | None] = {name: step.rates[count] for name, count in RATES.items()}
    for name, beginning in SUMS.items():
        values[name] = sum(rate for count, rate in step.rates.items() if count.startswith(beginning))
    values |= {count: rate for count, rate in step.rates.items() if count.startswith(SHOWN_APART)}
    for name, (times, share) in PERCENTILES.items():
        seconds = quantile(BOUNDS[times], step.observed.get(times, ()), share)
        values[name] = None if seconds is None else seconds * 1000
    return values


def quantile(bounds: Sequence[float], counts: Iterable[int], share: float) -> float | None:
    """Return the value below which that share of the observations is, None if there is none.

    Within a bucket they count as spread evenly; of the last one, which has no upper bound, only the lower one
    is known.
    """
    found = list(counts)
    wanted, below, lower = share * sum(found), 0, 0.0
    if not wanted:
        return None
    for bound, count in zip(bounds, found, strict=True):
        if below + count >= wanted:
            return lower if bound == float("inf") else lower + (bound - lower) * (wanted - below) / count
        below, lower = below + count, bound
    return lower
