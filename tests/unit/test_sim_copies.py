"""The checker and own copies: each message comes once, in order, to the sender's other devices."""

from collections.abc import Callable

import pytest

from sim.checker import AUDITED, COPIES, PASSED, Verdict
from sim.ledger import Event, Kind, digest_of
from tests.unit.test_sim_checker import judged

Change = Callable[[list[Event]], object]


def day(count: int = 3, *, audited: bool = True) -> list[Event]:
    """Ann writes to Bob with her phone and, in between, with her laptop; each shows what the other wrote."""
    events = [
        Event(1, Kind.DEVICE, "ann", "phone", note=COPIES),
        Event(2, Kind.DEVICE, "ann", "laptop", note=COPIES),
        Event(3, Kind.DEVICE, "bob", "bobs", note=COPIES),
    ]
    for number in range(1, count + 1):
        for at, (device, other) in enumerate((("phone", "laptop"), ("laptop", "phone"))):
            id_, seq, now = f"{device}{number}", 2 * number + at, 100 * number + 50 * at
            digest = digest_of(id_.encode())
            about = {"peer": "bob", "id": id_}
            events += [
                Event(now, Kind.INTENT, "ann", device, **about, digest=digest),
                Event(now + 1, Kind.ACCEPTED, "ann", device, **about, seq=seq),
                Event(now + 2, Kind.RECEIVED, "bob", "bobs", "ann", id_, seq, digest),
                Event(now + 3, Kind.COPIED, "ann", other, **about, seq=seq, digest=digest),
            ]
            if audited:
                events.append(Event(10**6, Kind.STORED, "bob", "bobs", "ann", id_, seq))
                events.append(Event(10**6, Kind.COPY_STORED, "ann", other, **about, seq=seq))
    if audited:
        ends = (("ann", "phone"), ("ann", "laptop"), ("bob", "bobs"))
        events += [Event(10**6 + 1, Kind.CUT, *each, note=AUDITED) for each in ends]
    return events


def place(events: list[Event], kind: Kind, id_: str) -> int:
    return next(at for at, event in enumerate(events) if (event.kind, event.id) == (kind, id_))


def without(*kinds: Kind) -> Change:
    def change(events: list[Event]) -> None:
        events[:] = [each for each in events if each.kind not in kinds or each.id != "phone2"]

    return change


def passed(events: list[Event]) -> None:
    """The store has the copy, and the laptop has acknowledged what is behind it."""
    without(Kind.COPIED)(events)
    at = place(events, Kind.COPY_STORED, "phone2")
    events[at] = events[at]._replace(note=PASSED)


def again(events: list[Event]) -> None:
    at = place(events, Kind.COPIED, "phone2")
    events.append(events[at]._replace(at_us=900))


def killed(events: list[Event]) -> None:
    events.append(Event(800, Kind.CRASHED, "ann", "laptop"))
    again(events)


def other(**changes: object) -> Change:
    def change(events: list[Event]) -> None:
        at = place(events, Kind.COPIED, "phone2")
        events[at] = events[at]._replace(**changes)  # type: ignore[arg-type]

    return change


def young(events: list[Event]) -> None:
    """The laptop is younger than the phone's first message, and had no copy of it."""
    events[1] = events[1]._replace(at_us=150)
    events[:] = [each for each in events if each.kind != Kind.COPIED or each.id != "phone1"]


CASES: dict[str, tuple[Change, dict[str, int], int]] = {
    "all is well": (len, {}, 0),
    "none came": (without(Kind.COPIED, Kind.COPY_STORED), {"lost": 1}, 0),
    "none came yet": (without(Kind.COPIED), {}, 1),
    "passed over": (passed, {"lost": 1}, 0),
    "twice": (again, {"duplicated": 1, "reordered": 1}, 0),
    "again after a crash": (killed, {}, 0),
    "late": (other(at_us=950), {"reordered": 1}, 0),
    "another text": (other(digest=7), {"phantom": 1}, 0),
    "not opened": (other(digest=0, note="malformed"), {"undecryptable": 1}, 0),
    "of a message that no one sent": (other(id="none"), {"phantom": 1}, 1),
    "before the device": (young, {}, 0),
}


@pytest.mark.parametrize(("change", "broken", "unverified"), CASES.values(), ids=CASES)
def test_each_copy_comes_once_and_in_order(change: Change, broken: dict[str, int], unverified: int) -> None:
    events = day()
    change(events)
    verdict: Verdict = judged(sorted(events, key=lambda each: each.at_us))
    assert (verdict.broken, verdict.unverified) == (broken, unverified)
    assert len(verdict.stories) == sum(broken.values()) + unverified


def test_copies_are_counted_and_without_an_audit_may_be_on_their_way() -> None:
    assert judged(day()).totals.copies == 6
    events = day(audited=False)
    without(Kind.COPIED)(events)
    verdict = judged(events)
    assert (verdict.totals.copies, verdict.unverified, verdict.broken) == (5, 1, {})


def test_devices_that_get_no_copies_are_owed_none() -> None:
    events = [each._replace(note="") if each.kind == Kind.DEVICE else each for each in day()]
    without(Kind.COPIED, Kind.COPY_STORED)(events)
    assert judged(events).holds
