"""The checker: reconciles what all sides saw, and decides whether the promise was kept.

Each mailbox is judged for itself (`sim.checker.mailbox`): nothing that happens to a message happens outside
its recipient's mailbox. So memory is bounded by the largest mailbox.
"""

from collections import defaultdict

from sim.checker.copies import COPIES, PASSED
from sim.checker.ends import CURSOR
from sim.checker.mailbox import AUDITED, Mailbox, Others
from sim.checker.stories import story
from sim.checker.verdict import UNVERIFIED, VIOLATIONS, Percentiles, Samples, Story, Totals, Verdict
from sim.ledger import Event, Kind, Ledgers
from sim.limits import Limits

__all__ = [
    "AUDITED",
    "COPIES",
    "CURSOR",
    "PASSED",
    "UNVERIFIED",
    "VIOLATIONS",
    "Percentiles",
    "Samples",
    "Story",
    "Totals",
    "Verdict",
    "check",
]

STORIES = 5
"""Stories told of each kind: those that began first."""

NO_MESSAGE = (Kind.DEVICE, Kind.CUT, Kind.STORED, Kind.COPY_STORED, Kind.USED, Kind.LEFT)
"""Kinds that do not tell when the run was: they come before and after it."""


def check(ledgers: Ledgers, limits: Limits = Limits()) -> Verdict:  # noqa: B008 -- frozen
    """Reconcile the ledgers of a run.

    Args:
        ledgers: All of them.
        limits: What the server sweeps, and when a mailbox is full.

    Returns:
        The verdict with the stories of the first violations of each kind, in the order of time.

    Raises:
        FileNotFoundError: One of the files is not there.
    """
    verdict = Verdict()
    faults = ledgers.of_kind(Kind.FAULT)
    crashes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in ledgers.of_kind(Kind.CRASHED):
        crashes[event.user, event.device].append(event.at_us)
    owed: dict[str, dict[str, int]] = defaultdict(dict)
    for event in ledgers.of_kind(Kind.DEVICE):
        if event.note == COPIES:
            owed[event.user].setdefault(event.device, event.at_us)
    ends = ledgers.of_kind(Kind.CUT)
    audited = {(event.user, event.device) for event in ends if event.note == AUDITED}
    missed = {(event.user, event.device) for event in ledgers.of_kind(Kind.MISSED)}
    erased: dict[str, int] = {}
    for event in ledgers.of_kind(Kind.ERASED):
        erased.setdefault(event.user, event.at_us)
    others = Others(crashes, owed, audited, missed, erased)
    stories: dict[str, list[Story]] = defaultdict(list)
    for owner, events in ledgers.mailboxes():
        _measure(verdict, events)
        for finding in Mailbox(owner, verdict, others, limits).judge(events):
            _count(verdict, finding.kind)
            told = stories[finding.kind]
            if len(told) < STORIES or finding.at_us < told[-1].at_us:
                told.append(story(owner, finding, events, faults))
                told.sort(key=lambda each: each.at_us)
                del told[STORIES:]
    verdict.stories = [each for kind in (*VIOLATIONS, UNVERIFIED) for each in stories[kind]]
    return verdict


def _count(verdict: Verdict, kind: str) -> None:
    if kind == UNVERIFIED:
        verdict.unverified += 1
    else:
        verdict.counts[kind] += 1


def _measure(verdict: Verdict, events: list[Event]) -> None:
    verdict.events += len(events)
    first = next((event for event in events if event.kind not in NO_MESSAGE), None)
    if first is None:
        return
    last = next(event for event in reversed(events) if event.kind not in NO_MESSAGE)
    verdict.began_us = min(verdict.began_us or first.at_us, first.at_us)
    verdict.ended_us = max(verdict.ended_us, last.at_us)
