"""The recovery from a fault, measured on the messages, not on the servers."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from sim.checker.verdict import Samples

DEFINITION = (
    "Recovery is the time from the strike until the last slow message of a disturbed second was delivered."
    " A message is slow if it took longer than twice the p99 of the 30 s before the first strike of the run."
    " A second is disturbed if more than 5% of the messages sent in it were slow; messages in flight at the"
    " strike belong to the first second. Three seconds that are not disturbed end the search, and so does the"
    " next fault."
)
"""For the reader of a report; the constants below are what it says."""

BEFORE_US = 30_000_000
SECOND_US = 1_000_000
SLOW = 2
SHARE = 0.05
CALM_SECONDS = 3
FEWEST = 20
"""Messages needed before the first strike: with fewer it is not known what is normal."""


class Fault(Struct, frozen=True):
    """Something that struck the system.

    Attributes:
        name: What was done, e.g. ``kill``.
        target: What was struck, e.g. ``host-1``.
        begins_us: When it struck, on the ledger's clock.
        ends_us: When its cause was gone; the same for what only strikes.
    """

    name: str
    target: str
    begins_us: int
    ends_us: int


def recoveries(delivered: Samples, faults: Sequence[Fault], ended_us: int) -> list[float | None]:
    """Return the recovery time of each fault in seconds.

    Args:
        delivered: From the intent to the delivery, of all messages.
        faults: What struck, in any order.
        ended_us: When the last message could have been sent.

    Returns:
        For each fault, 0.0 if no second was disturbed, and None if it was not seen to end: the run or the
        time until the next fault was too short, or too few messages went before the first.
    """
    ordered = sorted(zip(delivered.at_us, delivered.took_us, strict=True))
    strikes = sorted({fault.begins_us for fault in faults})
    limit_us = _limit_us(ordered, strikes[0]) if strikes else None
    if limit_us is None:
        return [None for _ in faults]
    found: list[float | None] = []
    for fault in faults:
        later = bisect_left(strikes, fault.begins_us + 1)
        until_us = strikes[later] if later < len(strikes) else ended_us
        found.append(_recovery_s(ordered, limit_us, fault.begins_us, until_us))
    return found


def _limit_us(ordered: list[tuple[int, int]], first_us: int) -> int | None:
    took = sorted(
        took
        for at, took in ordered[
            bisect_left(ordered, (first_us - BEFORE_US,)) : bisect_left(ordered, (first_us,))
        ]
        if at + took < first_us
    )
    if len(took) < FEWEST:
        return None
    return SLOW * took[len(took) * 99 // 100]


def _recovery_s(ordered: list[tuple[int, int]], limit_us: int, strike_us: int, until_us: int) -> float | None:
    sent, slow, last = Counter[int](), Counter[int](), Counter[int]()
    # What had been in flight for longer than this at the strike was slow before it.
    since = bisect_left(ordered, (strike_us - limit_us,))
    for at, took in ordered[since : bisect_left(ordered, (until_us,))]:
        if at + took < strike_us:
            continue
        second = max(0, (at - strike_us) // SECOND_US)
        sent[second] += 1
        if took > limit_us:
            slow[second] += 1
            last[second] = max(last[second], at + took)
    recovered_us, calm = strike_us, 0
    for second in range((until_us - strike_us) // SECOND_US):
        if slow[second] > SHARE * sent[second]:
            recovered_us, calm = max(recovered_us, last[second]), 0
        else:
            calm += bool(sent[second])
        if calm == CALM_SECONDS:
            return (recovered_us - strike_us) / SECOND_US
    return None
