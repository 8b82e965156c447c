"""The checker: every legal history holds, and every way to break the promise is named.

Long, because every history stands here in full.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.checker import AUDITED, STORIES, VIOLATIONS, Verdict, check
from sim.ledger import Event, Kind
from tests.unit.ledger_world import World, ledgers


def judged(events: list[Event]) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        return check(ledgers(Path(folder), events))


def conversation(*, audited: bool = True) -> World:
    """Ann writes Bob three messages; Bob's two devices get, take and read them, and Ann is told."""
    world = World()
    ann, bob, tablet = world.join("ann"), world.join("bob"), world.join("bob")
    for _ in range(3):
        world.send(ann, "bob")
    for phone in (bob, tablet):
        world.receive(phone, 3)
        world.take(phone)
    world.tell(ann, "bob")
    world.read(bob, "ann")
    world.tell(ann, "bob")
    world.end(audited=audited)
    return world


def at(events: list[Event], kind: Kind, nth: int = 0) -> int:
    return [place for place, event in enumerate(events) if event.kind == kind][nth]


# -- legal


def legal_reconnect(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob")
    world.send(ann, "bob")
    world.receive(bob, 2, told=False)
    world.receive(bob, 2)
    world.take(bob)


def legal_crash_before_take(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    for _ in range(4):
        world.send(ann, "bob")
    world.receive(bob, 2)
    world.take(bob)
    world.receive(bob, 2)
    world.crash(bob)
    world.receive(bob, 1)
    world.crash(bob)
    world.receive(bob, 2)
    world.take(bob)


def legal_crash_after_taking_a_part(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    for _ in range(4):
        world.send(ann, "bob")
    world.receive(bob, 4)
    world.record(Kind.TAKEN, bob, seq=2)
    bob.taken = 2
    world.crash(bob)
    world.receive(bob, 2)
    world.take(bob)


def legal_unread_receipt(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob")
    world.record(Kind.READ_TOLD, ann, peer="bob", seq=0)
    world.receive(bob)
    world.take(bob)


def legal_second_number_of_what_came_before_a_receipt(world: World) -> None:
    """The second number is above the receipt that covers the first, and told to the sender first."""
    ann, bob = world.join("ann"), world.join("bob")
    id_ = world.send(ann, "bob", reply="lost")
    world.record(Kind.ACCEPTED, ann, peer="bob", id=id_, seq=1)
    world.receive(bob)
    world.take(bob)
    world.tell(ann, "bob")


def legal_second_number(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob", reply="lost")
    world.receive(bob)
    world.take(bob)
    world.tell(ann, "bob")


def legal_reply_told_twice(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    id_ = world.send(ann, "bob")
    world.record(Kind.ACCEPTED, ann, peer="bob", id=id_, seq=99)
    world.receive(bob)
    world.take(bob)


def legal_no_device_yet(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob")
    world.receive(bob)
    world.take(bob)
    young = world.join("bob")
    world.send(ann, "bob")
    world.receive(bob)
    world.receive(young)
    world.take(young)


def legal_young_device_acknowledges(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob")
    young = world.join("bob")
    world.send(ann, "bob")
    world.receive(young)
    world.take(young)
    world.tell(ann, "bob")
    world.receive(bob, 2)


def legal_refused(world: World) -> None:
    ann = world.join("ann")
    world.join("bob")
    world.send(ann, "bob", reply="refused")


def legal_told_again_after_the_senders_crash(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    told: list[Event] = []
    for _ in range(2):
        world.send(ann, "bob")
        world.receive(bob)
        world.take(bob)
        world.tell(ann, "bob")
        told.append(world.events[-1])
    world.crash(ann)
    world.events += [event._replace(at_us=world.now + 1) for event in told]


def legal_two_senders_interleaved(world: World) -> None:
    ann, laptop, cid, bob = (world.join(user) for user in ("ann", "ann", "cid", "bob"))
    for sender in (ann, cid, laptop, cid, ann):
        world.send(sender, "bob")
    world.receive(bob, 5)
    world.take(bob)


def legal_reply_never_came_but_message_did(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob", reply="never")
    world.receive(bob)
    world.take(bob)


LEGAL = {name: value for name, value in globals().items() if name.startswith("legal_")}


@pytest.mark.parametrize("audited", [True, False], ids=["audited", "not_audited"])
@pytest.mark.parametrize("name", LEGAL)
def test_legal_histories_pass(name: str, audited: bool) -> None:  # noqa: FBT001
    world = World()
    LEGAL[name](world)
    world.end(audited=audited)
    verdict = judged(world.events)
    assert verdict.broken == {}
    assert verdict.unverified == 0
    assert verdict.holds
    assert verdict.word == "holds"
    assert verdict.stories == []


def test_totals_and_durations() -> None:
    verdict = judged(conversation().events)
    totals = verdict.totals
    assert verdict.holds
    assert (totals.sent, totals.accepted, totals.delivered, totals.acked, totals.read) == (3, 3, 3, 3, 3)
    assert (totals.receipts, totals.failed, totals.pushes, totals.crashes) == (3, 0, 0, 0)
    assert list(verdict.send_accept.took_us) == [100, 100, 100]
    # Two devices; the entries arrive every 100 us once all are sent.
    assert list(verdict.send_deliver.took_us) == [600, 500, 400, 1000, 900, 800]
    assert list(verdict.deliver_receipt.took_us) == [800, 700, 600]
    assert verdict.per_second["sent"].total() == verdict.per_second["accepted"].total() == 3
    assert verdict.per_second["delivered"].total() == 6
    assert verdict.send_accept.percentiles().p99 == 0.1


def test_a_receipt_without_news_is_not_counted() -> None:
    world = World()
    legal_unread_receipt(world)
    assert judged(world.events).totals.receipts == 0


def test_the_lowest_number_is_the_messages() -> None:
    """A receipt up to it is late if the message came later, whatever number its sender was told."""
    world = World()
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob", reply="lost")
    world.later()
    world.record(Kind.DELIVERED_TOLD, ann, peer="bob", seq=1)
    world.receive(bob)
    world.take(bob)
    world.end()
    verdict = judged(world.events)
    assert verdict.broken == {"receipt_without_delivery": 1}


@pytest.mark.parametrize("numbers", [(1, 9), (9, 1)])
def test_the_lower_of_two_numbers_given_to_the_sender_counts(numbers: tuple[int, int]) -> None:
    world = World()
    ann = world.join("ann")
    world.join("bob")
    id_ = world.send(ann, "bob", reply="never")
    for number in numbers:
        world.record(Kind.ACCEPTED, ann, peer="bob", id=id_, seq=number)
    world.record(Kind.DELIVERED_TOLD, ann, peer="bob", seq=1)
    world.end(audited=False)
    assert judged(world.events).broken == {"receipt_without_delivery": 1}


def test_a_higher_number_seen_later_is_not_the_messages() -> None:
    events = conversation().events
    place = at(events, Kind.STORED, 3)
    events.insert(place + 1, events[place]._replace(seq=90))
    told = events[at(events, Kind.DELIVERED_TOLD)]
    events.insert(
        at(events, Kind.RECEIVED), told._replace(at_us=events[at(events, Kind.INTENT)].at_us + 1, seq=1)
    )
    assert judged(events).broken == {"duplicated": 1, "receipt_without_delivery": 1}


def test_a_message_told_again_is_measured_once() -> None:
    world = World()
    legal_crash_before_take(world)
    verdict = judged(world.events)
    assert len(verdict.send_deliver) == 4
    assert verdict.totals.crashes == 2


# -- not known at the end


def open_offline(world: World) -> None:
    ann = world.join("ann")
    world.join("bob")
    world.send(ann, "bob")


def open_crashed(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob")
    world.receive(bob)
    world.crash(bob)


def open_sent_into_the_dark(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob", reply="never")
    world.mailboxes["bob"].clear()
    world.take(bob)


def open_half_an_audit(world: World) -> None:
    """The audit broke off: what it did not come to is not missing."""
    ann, bob = world.join("ann"), world.join("bob")
    for _ in range(3):
        world.send(ann, "bob")
    world.receive(bob, 2)
    world.take(bob)
    world.record(Kind.STORED, bob, peer="ann", id="m000001", seq=1)


def open_nobody_there(world: World) -> None:
    ann = world.join("ann")
    world.mailboxes["bob"] = []
    world.send(ann, "bob")


OPEN = {name: value for name, value in globals().items() if name.startswith("open_")}


@pytest.mark.parametrize("audited", [True, False], ids=["audited", "not_audited"])
@pytest.mark.parametrize("name", OPEN)
def test_promises_the_run_was_too_short_for_are_unverified(name: str, audited: bool) -> None:  # noqa: FBT001
    world = World()
    OPEN[name](world)
    world.end(audited=audited and name != "open_half_an_audit")
    verdict = judged(world.events)
    assert verdict.broken == {}
    assert verdict.unverified == 1
    assert verdict.holds
    assert [story.kind for story in verdict.stories] == ["unverified"]


# -- illegal: each changes the events of the conversation above

Breaking = Callable[[list[Event]], None]


def lost_on_one_device(events: list[Event]) -> None:
    del events[at(events, Kind.RECEIVED, 4)]


def lost_without_audit(events: list[Event]) -> None:
    events[:] = [event for event in events if event.kind != Kind.STORED and event.note != AUDITED]
    del events[at(events, Kind.RECEIVED, 1)]


def lost_though_open_since_acknowledged(events: list[Event]) -> None:
    events[:] = [event for event in events if event.kind not in {Kind.STORED, Kind.CUT}]
    del events[at(events, Kind.RECEIVED, 1)]


def acked_not_stored(events: list[Event]) -> None:
    del events[at(events, Kind.STORED, 2)]


def acked_not_stored_none_at_all(events: list[Event]) -> None:
    events[:] = [event for event in events if event.kind != Kind.STORED]


def duplicated_told_twice(events: list[Event]) -> None:
    place = at(events, Kind.RECEIVED, 1)
    events.insert(place + 1, events[place])


def duplicated_after_taking_and_crash(events: list[Event]) -> None:
    place = at(events, Kind.TAKEN)
    taken = events[place]
    again = events[at(events, Kind.RECEIVED, 1)]._replace(at_us=taken.at_us)
    events[place + 1 : place + 1] = [taken._replace(kind=Kind.CRASHED), again]


def duplicated_entry(events: list[Event]) -> None:
    place = at(events, Kind.ARRIVED, 1)
    events.insert(place + 1, events[place]._replace(seq=77))


def duplicated_in_store(events: list[Event]) -> None:
    place = at(events, Kind.STORED, 1)
    events.insert(place + 1, events[place]._replace(seq=77))


def swap(events: list[Event], kind: Kind, first: int, second: int) -> None:
    """Let two things happen in each other's place."""
    one, two = at(events, kind, first), at(events, kind, second)
    events[one], events[two] = (
        events[two]._replace(at_us=events[one].at_us),
        events[one]._replace(at_us=events[two].at_us),
    )


def reordered_app(events: list[Event]) -> None:
    swap(events, Kind.RECEIVED, 0, 1)


def reordered_intents(events: list[Event]) -> None:
    swap(events, Kind.INTENT, 0, 1)


def reordered_numbers(events: list[Event]) -> None:
    place = at(events, Kind.RECEIVED, 1)
    events[place] = events[place]._replace(seq=1)


def reordered_below_what_was_taken(events: list[Event]) -> None:
    """Entry 1 is told after everything up to 3 was taken."""
    event = events.pop(at(events, Kind.RECEIVED, 0))
    place = at(events, Kind.TAKEN)
    events.insert(place + 1, event._replace(at_us=events[place].at_us))


def phantom_invented(events: list[Event]) -> None:
    place = at(events, Kind.RECEIVED, 2)
    events.insert(place + 1, events[place]._replace(id="invented", seq=50))


def phantom_flipped_bit(events: list[Event]) -> None:
    place = at(events, Kind.RECEIVED, 1)
    events[place] = events[place]._replace(digest=events[place].digest ^ 1)


def phantom_in_store(events: list[Event]) -> None:
    place = at(events, Kind.STORED, 1)
    events.insert(place, events[place]._replace(id="invented", seq=50))


def phantom_of_another_mailbox(events: list[Event]) -> None:
    """Ann's message to Bob comes to Ann's own phone as if Bob had written it."""
    event = events[at(events, Kind.RECEIVED, 0)]
    events.append(event._replace(user="ann", device="ann-phone0", peer="bob"))


def phantom_accepted(events: list[Event]) -> None:
    place = at(events, Kind.ACCEPTED)
    events.insert(place, events[place]._replace(id="invented"))


def undecryptable(events: list[Event]) -> None:
    place = at(events, Kind.RECEIVED, 1)
    events[place] = events[place]._replace(kind=Kind.UNDECRYPTABLE, digest=0, note="bad_signature")


def missed(events: list[Event]) -> None:
    place = at(events, Kind.RECEIVED, 1)
    events.insert(place, events[place]._replace(kind=Kind.MISSED, peer="", id="", digest=0))


def receipt_without_delivery_early(events: list[Event]) -> None:
    place = at(events, Kind.RECEIVED)
    told = events[at(events, Kind.DELIVERED_TOLD)]
    events.insert(place, told._replace(at_us=events[place].at_us - 1))


def receipt_without_delivery_crashed(events: list[Event]) -> None:
    """Both apps are killed before they took anything, and Ann is told all the same."""
    for _ in range(2):
        place = at(events, Kind.TAKEN)
        events[place] = events[place]._replace(kind=Kind.CRASHED, seq=0)


def receipt_without_delivery_unread(events: list[Event]) -> None:
    events[:] = [event for event in events if event.kind != Kind.READ]


def receipt_without_delivery_read_later(events: list[Event]) -> None:
    place = at(events, Kind.READ)
    events[place] = events[place]._replace(at_us=events[-1].at_us)


def receipt_backwards_delivered(events: list[Event]) -> None:
    place = at(events, Kind.DELIVERED_TOLD)
    events.insert(place + 1, events[place]._replace(seq=events[place].seq - 1))


def receipt_backwards_read(events: list[Event]) -> None:
    place = at(events, Kind.READ_TOLD)
    events.insert(place + 1, events[place]._replace(seq=events[place].seq - 1))


ILLEGAL: dict[str, Breaking] = {
    name: value
    for name, value in globals().items()
    if any(name.startswith(kind) for kind in VIOLATIONS) and callable(value)
}


def kind_of(name: str) -> str:
    return max((kind for kind in VIOLATIONS if name.startswith(kind)), key=len)


@pytest.mark.parametrize("name", ILLEGAL)
def test_each_way_to_break_the_promise_is_named_and_explained(name: str) -> None:
    events = conversation().events
    ILLEGAL[name](events)
    verdict = judged(events)
    kind = kind_of(name)
    assert set(verdict.broken) == {kind}
    assert not verdict.holds
    assert verdict.word == "violated"
    told = [story for story in verdict.stories if story.kind == kind]
    assert len(told) == min(verdict.counts[kind], STORIES)
    assert all(story.title.endswith(".") and story.lines for story in told)


OF_LIMITS = {"gone_served", "refused_kept", "refused_with_room", "not_erased"}
"""`tests.unit.test_sim_kept` has these: this conversation has no limits."""


def test_each_kind_of_violation_is_among_these() -> None:
    assert {kind_of(name) for name in ILLEGAL} == set(VIOLATIONS) - OF_LIMITS


def test_an_undelivered_message_lost_by_the_store_is_two_violations() -> None:
    events = conversation().events
    lost = events[at(events, Kind.INTENT, 1)].id
    events[:] = [e for e in events if e.id != lost or e.kind in {Kind.INTENT, Kind.ACCEPTED}]
    verdict = judged(events)
    assert verdict.broken == {"lost": 1, "acked_not_stored": 1, "receipt_without_delivery": 1}


def test_messages_lost_by_the_store_before_their_device_came_are_lost() -> None:
    world = World()
    ann = world.join("ann")
    world.join("bob")
    world.send(ann, "bob")
    world.end()
    events = [event for event in world.events if event.kind != Kind.STORED]
    assert [event.note for event in events if event.user == "bob"] == ["", "open", AUDITED]
    assert judged(events).broken == {"lost": 1, "acked_not_stored": 1}


def test_a_message_counts_once_however_many_devices_lost_it() -> None:
    events = conversation().events
    lost = events[at(events, Kind.INTENT, 1)].id
    events[:] = [e for e in events if not (e.id == lost and e.kind == Kind.RECEIVED)]
    verdict = judged(events)
    assert verdict.counts["lost"] == 1


# -- stories


def test_a_story_tells_everything_from_end_to_end() -> None:
    world = conversation()
    world.events.append(
        Event(world.events[at(world.events, Kind.RECEIVED, 1)].at_us, Kind.FAULT, "", note="host: begins")
    )
    duplicated_told_twice(world.events)
    (story,) = judged(world.events).stories
    assert story.title == "Message m000002 from ann was told twice to the app on bob's bob-phone0."
    text = "\n".join(line.split(" s  ")[1] for line in story.lines)
    assert text == STORY.strip()
    times = [float(line.split(" s  ")[0]) for line in story.lines]
    assert times == sorted(times)


STORY = """
Device bob-phone0 of bob exists from now on.
Device bob-phone1 of bob exists from now on.
ann (ann-phone0) hands message m000002 for bob to the SDK.
ann (ann-phone0) is told that m000002 is accepted, number 2 in bob's mailbox.
m000002 arrives at bob (bob-phone0) as number 2.
The app of bob (bob-phone0) is told of m000002 from ann, number 2.
The app of bob (bob-phone0) is told of m000002 from ann, number 2.
Fault: host: begins.
The app of bob (bob-phone0) has taken everything up to 3; this is acknowledged.
m000002 arrives at bob (bob-phone1) as number 2.
The app of bob (bob-phone1) is told of m000002 from ann, number 2.
The app of bob (bob-phone1) has taken everything up to 3; this is acknowledged.
ann (ann-phone0) is told that bob has everything up to 3.
bob (bob-phone0) marks what ann wrote as read up to 3.
ann (ann-phone0) is told that bob has read up to 3.
The run ends for bob (bob-phone0): nothing is in flight.
The audit finds m000002 in the server's store for bob (bob-phone0), number 2.
The server's store was read to its end for bob (bob-phone0).
The run ends for bob (bob-phone1): nothing is in flight.
The audit finds m000002 in the server's store for bob (bob-phone1), number 2.
The server's store was read to its end for bob (bob-phone1).
"""


def test_the_stories_are_those_of_the_first() -> None:
    world = World()
    ann, bob = world.join("ann"), world.join("bob")
    ids = [world.send(ann, "bob") for _ in range(STORIES + 4)]
    world.receive(bob, len(ids))
    world.end()
    events = [e._replace(digest=0 if e.kind != Kind.RECEIVED else 1) for e in world.events]
    events = [e._replace(digest=2) if e.kind == Kind.INTENT else e for e in events]
    verdict = judged(events)
    assert verdict.counts["phantom"] == STORIES + 4
    assert [id_ in story.title for id_, story in zip(ids, verdict.stories, strict=False)] == [True] * STORIES


def test_the_first_are_the_first_of_all_mailboxes() -> None:
    world = World()
    ann, zed, bob = world.join("ann"), world.join("zed"), world.join("bob")
    early = world.send(ann, "zed")
    for _ in range(STORIES):
        world.send(ann, "bob")
    world.receive(zed)
    world.receive(bob, STORIES)
    world.end()
    events = [e._replace(digest=e.digest + 1) if e.kind == Kind.RECEIVED else e for e in world.events]
    stories = judged(events).stories
    assert len(stories) == STORIES
    assert early in stories[0].title


def test_a_long_story_is_cut_in_the_middle() -> None:
    world = World()
    ann, bob = world.join("ann"), world.join("bob")
    world.send(ann, "bob")
    for _ in range(200):
        world.receive(bob, told=False)
    world.end(audited=False)
    (story,) = judged(world.events).stories
    assert len(story.lines) == 61
    assert "more events" in story.lines[30]


# -- any history

STEPS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 5), st.integers(0, 5)), max_size=60)
REPLIES = {2: "lost", 3: "never", 4: "refused"}


def played(steps: list[tuple[int, int, int]], *, audited: bool) -> World:
    """Play steps drawn at random, all of them legal."""
    world = World()
    for user in ("ann", "bob", "cid", "bob"):
        world.join(user)
    for what, first, second in steps:
        phone = world.phones[first % len(world.phones)]
        peer = sorted(set(world.mailboxes) - {phone.user})[second % 2]
        if what <= 4:
            world.send(phone, peer, reply=REPLIES.get(what, ""))
        elif what <= 6:
            world.receive(phone, 1 + second, told=what == 5 or second > 0)
        elif what <= 8:
            world.take(phone)
        elif what == 9:
            world.read(phone, peer)
        elif what == 10:
            world.tell(phone, peer)
        elif second == 0:
            world.join(phone.user)
        else:
            world.crash(phone)
    world.end(audited=audited)
    return world


@settings(max_examples=60)
@given(STEPS, st.booleans())
def test_any_legal_history_holds(steps: list[tuple[int, int, int]], audited: bool) -> None:  # noqa: FBT001
    world = played(steps, audited=audited)
    verdict = judged(world.events)
    assert verdict.broken == {}
    assert verdict.totals.sent == sum(event.kind == Kind.INTENT for event in world.events)


def standing(events: list[Event]) -> Iterator[int]:
    """Yield the places of what apps were told and did not lose in a crash, for devices that must have it."""
    created = {event.device: event.at_us for event in reversed(events) if event.kind == Kind.DEVICE}
    intents = {event.id: event.at_us for event in events if event.kind == Kind.INTENT}
    for place, event in enumerate(events):
        if event.kind == Kind.RECEIVED and created[event.device] < intents[event.id]:
            later = [e for e in events[place:] if e.device == event.device]
            end = next((e for e in later if e.kind in {Kind.CRASHED, Kind.TAKEN}), None)
            if end is not None and end.kind == Kind.TAKEN:
                yield place


def drop(events: list[Event], place: int) -> str | None:
    event = events[place]
    if not any(e.kind == Kind.ACCEPTED and e.id == event.id for e in events):
        return None
    del events[place]
    return "lost"


def double(events: list[Event], place: int) -> str | None:
    events.insert(place + 1, events[place])
    return "duplicated"


def exchange(events: list[Event], place: int) -> str | None:
    """Tell the app of two messages of one sender's device in the wrong order."""
    event = events[place]
    source = {e.id: (e.user, e.device) for e in events if e.kind == Kind.INTENT}
    following = next(
        (
            n
            for n in range(place + 1, len(events))
            if events[n].device == event.device
            and events[n].kind in {Kind.RECEIVED, Kind.TAKEN, Kind.CRASHED}
        ),
        None,
    )
    if (
        following is None
        or events[following].kind != Kind.RECEIVED
        or source[events[following].id] != source[event.id]
    ):
        return None
    events[place] = events[following]._replace(at_us=event.at_us)
    events[following] = event._replace(at_us=events[following].at_us)
    return "reordered"


def invent(events: list[Event], place: int) -> str | None:
    events.insert(place + 1, events[place]._replace(id="invented"))
    return "phantom"


def alter(events: list[Event], place: int) -> str | None:
    events[place] = events[place]._replace(digest=events[place].digest ^ (1 << 40))
    return "phantom"


def unstore(events: list[Event], place: int) -> str | None:
    event = events[place]
    stored = [
        n
        for n, e in enumerate(events)
        if e.kind == Kind.STORED and (e.id, e.device) == (event.id, event.device)
    ]
    if not stored or not any(e.kind == Kind.ACCEPTED and e.id == event.id for e in events):
        return None
    del events[stored[0]]
    return "acked_not_stored"


CHANGES = [drop, double, exchange, invent, alter, unstore]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@settings(max_examples=30)
@given(STEPS, st.data())
def test_any_history_changed_in_one_place_is_named(
    change: Callable[[list[Event], int], str | None], steps: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    events = played(steps, audited=True).events
    places = list(standing(events))
    if not places:
        return
    kind = change(events, data.draw(st.sampled_from(places)))
    if kind is not None:
        assert judged(events).counts[kind] > 0
