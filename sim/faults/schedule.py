"""The schedule of the faults, drawn from the seed. Pure."""

import random
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from sim.faults.profiles import MIXED, Profile, names_in, parse

_CALM_BEFORE: Final = (0.1, 5.0)
"""Before the first strike: this share of the run, this many seconds at most."""

_CALM_AFTER: Final = (0.2, 10.0)
"""After the last one, so that the recovery is seen under traffic."""

_SLOT_S: Final = 12.0
"""A strike and its recovery have about this long, if the run is long enough."""

_LEAST_SLOT_S: Final = 3.0
_LONGEST_SHARE: Final = 0.5
"""Of its slot that a fault may last; the rest is for the recovery."""

_HOUR_MS: Final = 3_600_000


class TooShort(ValueError):  # noqa: N818 -- named for what happened
    """The run is too short for all the faults; the sentence says how long it must be."""


class Strike(Struct, frozen=True):
    """One fault at one time.

    Attributes:
        at_s: Seconds after the begin of the traffic.
        name: Of the profile.
        target: As in the profile.
        lasts_s: Until it is healed; 0 for what is over at once, or is there from the start and stays.
        draw: 0 to 1: which of the target's instances.
        amount: See `Profile.amount`; 0 for what has none.
    """

    at_s: float
    name: str
    target: str
    lasts_s: float
    draw: float = 0.0
    amount: float = 0.0


def schedule(profile: str, seed: int, duration_s: float) -> list[Strike]:
    """Return the strikes in order of time; none overlaps another, each fault named strikes at least once.

    Args:
        profile: Names with commas between; of ``mixed`` as many are drawn as there is time for.
        seed: The same seed gives the same strikes.
        duration_s: Seconds of traffic.

    Raises:
        ProfileUnknown: A name is none of ours.
        TooShort: There is no time for all of them.
    """
    faults = parse(profile)
    draws = random.Random(f"faults {seed}")  # noqa: S311 -- a simulation
    always = [Strike(0.0, each.name, each.target, 0.0) for each in faults if each.act == "skew"]
    begins, ends = _traffic(duration_s)
    names = [each for each in faults if each.act != "skew"]
    order = _order(names, int((ends - begins) / _SLOT_S), draws, mixed=MIXED in names_in(profile))
    if not order:
        return always
    slot = (ends - begins) / len(order)
    if slot < _LEAST_SLOT_S:
        needed = len(order) * _LEAST_SLOT_S / (1 - _CALM_BEFORE[0] - _CALM_AFTER[0])
        raise TooShort(f"{len(order)} faults need at least {needed:.0f} seconds; the run has {duration_s:g}.")
    return always + [_strike(each, begins + slot * place, slot, draws) for place, each in enumerate(order)]


def clock_offset_ms(seed: int, person: int) -> int:
    """Return by how much the clock of a person is wrong under ``skewed-clocks``, whichever worker has it."""
    least, most = parse("skewed-clocks")[0].amount
    draws = random.Random(f"clock {seed} {person}")  # noqa: S311 -- a simulation
    return int(draws.uniform(least, most) * _HOUR_MS)


def _traffic(duration_s: float) -> tuple[float, float]:
    before, after = (min(share * duration_s, most) for share, most in (_CALM_BEFORE, _CALM_AFTER))
    return before, duration_s - after


def _order(faults: Sequence[Profile], places: int, draws: random.Random, *, mixed: bool) -> list[Profile]:
    """Fill the places: everything once in some order, then again; of ``mixed`` what fits."""
    order: list[Profile] = []
    count = max(1, places) if mixed else max(len(faults), places)
    while faults and len(order) < count:
        order += draws.sample(faults, len(faults))
    return order[:count]


def _strike(fault: Profile, begins_s: float, slot_s: float, draws: random.Random) -> Strike:
    lasts = min(draws.uniform(*fault.lasts_s), slot_s * _LONGEST_SHARE)
    at = begins_s + draws.uniform(0, 0.2) * slot_s
    amount = draws.uniform(*fault.amount)
    return Strike(round(at, 3), fault.name, fault.target, round(lasts, 3), draws.random(), round(amount, 3))
