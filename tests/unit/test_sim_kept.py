"""The checker where the server keeps little: what may be gone is no loss, and what may not is named."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.checker import CURSOR, Verdict, check
from sim.ledger import Event, Kind
from sim.limits import BadLimits, Limits
from tests.unit.ledger_world import Phone, World, ledgers

LIMITS = Limits(entry_s=30, delivered_s=10, device_s=20, kept=0, waiting=3)


def judged(events: list[Event], limits: Limits = LIMITS) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        return check(ledgers(Path(folder), events), limits)


def two() -> tuple[World, Phone, Phone]:
    world = World()
    ann, bob = world.join("ann"), world.join("bob")
    world.use(ann)
    world.use(bob)
    return world, ann, bob


def forgotten() -> World:
    """Bob was away for longer than his phone is remembered; he is told that messages are gone."""
    world, ann, bob = two()
    for _ in range(3):
        world.send(ann, "bob")
    world.use(bob, after_s=40)
    world.sweep("bob", 2)
    world.receive(bob)
    world.take(bob)
    world.end()
    return world


def fetched() -> World:
    """Bob has everything, and some of it is gone by then."""
    world, ann, bob = two()
    for _ in range(3):
        world.send(ann, "bob")
    world.receive(bob, 3)
    world.take(bob)
    world.use(bob, after_s=15)
    world.sweep("bob", 2)
    world.end()
    return world


def disappeared() -> World:
    """A message disappeared before Bob came for it, another one after he had it."""
    world, ann, bob = two()
    world.send(ann, "bob", expires_s=60)
    world.receive(bob)
    world.take(bob)
    world.send(ann, "bob", expires_s=5)
    world.send(ann, "bob")
    world.use(bob, after_s=8)
    del world.mailboxes["bob"][1]
    world.receive(bob)
    world.take(bob)
    world.use(bob, after_s=60)
    del world.mailboxes["bob"][0]
    world.end()
    return world


def full() -> World:
    """Three messages wait, more is refused, and comes in when Bob has fetched."""
    world, ann, bob = two()
    for _ in range(3):
        world.send(ann, "bob")
    world.later(15_000_000)
    world.send(ann, "bob", reply="full")
    world.use(bob)
    world.receive(bob, 3)
    world.take(bob)
    world.send(ann, "bob")
    world.receive(bob)
    world.take(bob)
    world.end()
    return world


def erased() -> World:
    """Bob deletes his account with unread messages; what he wrote is Ann's."""
    world, ann, bob = two()
    world.send(ann, "bob")
    world.send(bob, "ann")
    world.later()
    world.record(Kind.ERASED, bob, note="bob's id")
    world.send(ann, "bob", reply="refused")
    world.receive(ann)
    world.take(ann)
    world.phones.remove(bob)
    world.end()
    return world


@pytest.mark.parametrize("story", [forgotten, fetched, disappeared, full, erased])
def test_what_may_be_gone_is_no_loss(story: Callable[[], World]) -> None:
    verdict = judged(story().events)
    assert verdict.broken == {}, verdict.stories
    assert verdict.unverified == 0


def test_what_is_gone_is_counted() -> None:
    assert judged(forgotten().events).totals.swept == 2
    assert judged(disappeared().events).totals.disappeared == 2
    assert judged(full().events).totals.refused == 1
    assert judged(erased().events).totals.erased == 1


@pytest.mark.parametrize(
    ("story", "broken"),
    [
        (forgotten, {"acked_not_stored": 2, "lost": 2, "missed": 1}),
        (fetched, {"acked_not_stored": 2}),
    ],
)
def test_a_server_that_is_to_keep_everything_may_sweep_nothing(
    story: Callable[[], World], broken: dict[str, int]
) -> None:
    assert judged(story().events, Limits()).broken == broken


def event_of(world: World, kind: Kind, nth: int = 0) -> tuple[int, Event]:
    return [(place, each) for place, each in enumerate(world.events) if each.kind == kind][nth]


def test_a_device_in_use_holds_entries_back() -> None:
    """Bob's phone renewed its session while he was away: nothing had to go."""
    world = forgotten()
    place, back = event_of(world, Kind.USED, 2)
    world.events[place:place] = [back._replace(at_us=back.at_us - s * 1_000_000) for s in (30, 15)]
    assert judged(world.events).broken == {"lost": 2, "missed": 1}


def test_what_is_gone_in_silence_is_lost() -> None:
    world = forgotten()
    del world.events[event_of(world, Kind.MISSED)[0]]
    assert judged(world.events).broken == {"lost": 2}


def test_what_is_young_may_not_be_gone() -> None:
    world = fetched()
    assert judged(world.events, Limits(entry_s=30, delivered_s=20, device_s=20)).broken == {
        "acked_not_stored": 2
    }


def test_a_message_that_is_lost_is_not_excused_by_the_age_it_has_at_the_end() -> None:
    """It goes past Bob's phone at once, and would be swept much later."""
    world, ann, bob = two()
    world.send(ann, "bob")
    world.send(ann, "bob")
    del world.mailboxes["bob"][0]
    world.receive(bob)
    world.take(bob)
    world.use(bob, after_s=60)
    world.end()
    assert judged(world.events).broken == {"lost": 1}


def test_what_was_swept_is_served_no_more() -> None:
    world = forgotten()
    place, _ = event_of(world, Kind.STORED)
    _, sent = event_of(world, Kind.INTENT)
    _, told = event_of(world, Kind.ACCEPTED)
    world.events.insert(
        place, world.events[place]._replace(id=sent.id, seq=told.seq, at_us=world.events[place].at_us)
    )
    assert judged(world.events).broken == {"gone_served": 1}


def test_a_lost_cursor_says_of_no_entry_that_it_is_gone() -> None:
    world = forgotten()
    place, gap = event_of(world, Kind.MISSED)
    world.events[place] = gap._replace(note=CURSOR)
    stored, _ = event_of(world, Kind.STORED)
    _, sent = event_of(world, Kind.INTENT)
    _, told = event_of(world, Kind.ACCEPTED)
    world.events.insert(stored, world.events[stored]._replace(id=sent.id, seq=told.seq))
    assert judged(world.events).counts["gone_served"] == 0


@pytest.mark.parametrize("kind", [Kind.STORED, Kind.EXPORTED])
def test_what_has_disappeared_is_served_no_more(kind: Kind) -> None:
    world = disappeared()
    _, sent = event_of(world, Kind.INTENT, 1)
    _, told = event_of(world, Kind.ACCEPTED, 1)
    place, other = event_of(world, Kind.STORED)
    note = str(other.at_us) if kind == Kind.EXPORTED else ""
    world.events.insert(place, other._replace(kind=kind, id=sent.id, seq=told.seq, note=note))
    assert judged(world.events).broken == {"gone_served": 1}


def test_an_export_has_what_was_there_when_it_was_asked_for() -> None:
    world = disappeared()
    _, sent = event_of(world, Kind.INTENT, 1)
    _, told = event_of(world, Kind.ACCEPTED, 1)
    place, other = event_of(world, Kind.STORED)
    exported = other._replace(kind=Kind.EXPORTED, id=sent.id, seq=told.seq, note=str(told.at_us))
    world.events.insert(place, exported)
    assert judged(world.events).broken == {}


def test_what_was_refused_is_nowhere() -> None:
    world = full()
    place, refused = event_of(world, Kind.REFUSED)
    stored, other = event_of(world, Kind.STORED)
    found = other._replace(id=refused.id, seq=1_000)
    world.events.insert(stored, found)
    assert judged(world.events).broken == {"refused_kept": 1}
    world.events[place] = refused._replace(seq=1)  # a try before it had no answer
    assert judged(world.events).broken == {}


def test_a_mailbox_with_room_refuses_no_one() -> None:
    world = full()
    place, refused = event_of(world, Kind.REFUSED)
    del world.events[place]
    world.events.append(refused._replace(at_us=world.events[-1].at_us + 20_000_000))
    assert judged(world.events).broken == {"refused_with_room": 1}


def test_an_erased_account_leaves_nothing() -> None:
    world = erased()
    _, asked = event_of(world, Kind.ERASED)
    world.later(10_000_000)
    world.events.append(Event(world.now, Kind.LEFT, "bob", note="MongoDB devices has 1: NOT ERASED."))
    assert judged(world.events).broken == {"not_erased": 1}
    _, sent = event_of(world, Kind.INTENT)
    world.events[-1] = asked._replace(
        kind=Kind.EXPORTED, at_us=world.now, peer="ann", id=sent.id, seq=1, note=str(world.now)
    )
    assert judged(world.events).broken == {"gone_served": 1}


def test_what_an_erased_user_had_sent_may_have_lost_its_keys_and_nothing_else() -> None:
    world = erased()
    place, came = event_of(world, Kind.RECEIVED)
    world.events[place] = came._replace(kind=Kind.UNDECRYPTABLE, note="unknown_device")
    assert judged(world.events).broken == {}
    world.events[place] = came._replace(kind=Kind.UNDECRYPTABLE, note="invalid_signature")
    assert judged(world.events).broken == {"undecryptable": 1}


def test_what_an_erased_user_had_sent_is_still_to_come() -> None:
    world = erased()
    world.events[:] = [each for each in world.events if each.kind not in {Kind.ARRIVED, Kind.RECEIVED}]
    assert judged(world.events).broken["lost"] == 1


def test_limits_are_written_and_read() -> None:
    limits = Limits.parse("entry=30s,delivered=7.5s,device=20s,kept=80,waiting=30,erase=2s")
    assert limits == Limits(30, 7.5, 20, 80, 30, 2)
    assert Limits.parse(str(limits)) == limits
    for wrong in ("entry=30", "kept=80s", "entry=30s,entry=1s", "waiting=1.5", "more=1", ""):
        with pytest.raises(BadLimits, match="written like"):
            Limits.parse(wrong)
    with pytest.raises(BadLimits, match="60 s"):
        Limits.small(59)


def test_the_system_is_told_its_limits() -> None:
    variables = Limits(entry_s=43_200, waiting=30).variables
    assert float(variables["ROOST_RETENTION__ENTRY_DAYS"]) == 0.5
    assert variables["ROOST_QUOTA__MESSAGES"] == "30"
    assert "ROOST_RETENTION__DEVICE_DAYS" not in variables
    assert Limits().variables == {"ROOST_RETENTION__ERASE_AFTER_S": "0"}
