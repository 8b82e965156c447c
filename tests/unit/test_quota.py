"""Budgets of a mailbox: who may send what before it is fetched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from actors.user import effects as do
from actors.user import events as ev
from actors.user.quota import Budget, Quotas
from roost.ids import uuid7
from storage.records import BESIDES_PAYLOADS, MessageRecord, SentRecord
from tests.unit.mailbox_world import ME, World

WEIGHT = BESIDES_PAYLOADS + 1
UNBOUNDED = Budget()
SMALL = Quotas(
    mailbox=Budget(10),
    strangers=Budget(6),
    stranger=Budget(3),
    request=Budget(2),
    forget_ms=2_000_000,
)
REQUESTS = structs.replace(ME, requests=True)


def fill(world: World, sender: str, count: int) -> None:
    for _ in range(count):
        world.append(sender, len(world.log) + 1)
    world.run()
    world.store_all()


def refused(world: World, sender: str) -> bool:
    answer = world.feed(ev.RoomAsked("t", sender))[-1]
    if isinstance(answer, do.Refuse):
        assert answer.code == "mailbox_full"
        return True
    assert answer == do.AnswerDone("t")
    return False


def make_contact(world: World, peer: str) -> None:
    world.feed(ev.ContactMade("t", peer, peer))


def told(world: World) -> list[bool]:
    return [effect.full for effect in world.effects if isinstance(effect, do.TellRoom)]


@pytest.mark.attack("one stranger floods a mailbox")
def test_a_stranger_is_refused_and_others_are_not() -> None:
    world = World(quotas=SMALL)
    fill(world, "eve", 2)
    assert not refused(world, "eve")
    assert told(world) == []
    fill(world, "eve", 1)
    assert refused(world, "eve")
    assert not refused(world, "bob")
    assert told(world) == [True], "gateways are told that they have to ask"


@pytest.mark.attack("many strangers flood a mailbox to lock out a friend")
def test_strangers_together_never_lock_out_a_friend() -> None:
    world = World(quotas=SMALL)
    make_contact(world, "friend")
    for stranger in ("eve", "mallory", "trudy"):
        fill(world, stranger, 2)
    assert refused(world, "yet another one")
    assert not refused(world, "friend")
    assert not refused(world, "me")


def test_a_full_mailbox_takes_nothing_from_anyone_until_it_is_fetched() -> None:
    world = World(quotas=SMALL)
    make_contact(world, "friend")
    fill(world, "friend", 10)
    assert refused(world, "friend")
    assert refused(world, "bob")
    world.settle()
    assert not refused(world, "friend")
    assert told(world) == [True, False]
    assert (world.actor.quota.messages, world.actor.quota.size) == (0, 0)


def test_bytes_count_as_well() -> None:
    world = World(quotas=structs.replace(SMALL, stranger=Budget(size=2 * WEIGHT)))
    fill(world, "eve", 1)
    assert not refused(world, "eve")
    fill(world, "eve", 1)
    assert refused(world, "eve")


def test_what_is_fetched_makes_room_for_a_stranger() -> None:
    world = World(quotas=SMALL)
    fill(world, "eve", 3)
    world.settle()
    assert not refused(world, "eve")


@pytest.mark.attack("a message request goes on and on while the phone fetches it")
def test_a_request_has_its_few_messages_once() -> None:
    """With `requests` fetching is not accepting."""
    world = World(quotas=SMALL, me=REQUESTS)
    fill(world, "eve", 2)
    world.settle()
    assert refused(world, "eve")
    assert not refused(world, "bob")
    make_contact(world, "eve")
    assert not refused(world, "eve")


def test_a_request_counts_in_the_next_life_too() -> None:
    world = World(quotas=SMALL, me=REQUESTS)
    fill(world, "eve", 2)
    world.settle()
    world.commit()
    world.load()
    assert refused(world, "eve")


def test_a_stranger_may_begin_again_after_a_silence() -> None:
    world = World(quotas=SMALL, me=REQUESTS)
    fill(world, "eve", 2)
    assert refused(world, "eve")
    world.now = 2_000_000
    assert not refused(world, "eve")


@pytest.mark.attack("a block is found out by the lack of a limit")
def test_a_blocked_stranger_is_refused_as_any_other() -> None:
    world = World(quotas=SMALL)
    world.feed(ev.BlockAsked("t", "eve", "eve", blocked=True))
    fill(world, "eve", 3)
    assert refused(world, "eve")
    assert world.actor.quota.messages == 0
    assert "eve" not in world.rows


def test_gateways_are_told_again_but_not_with_each_message() -> None:
    world = World(quotas=SMALL)
    fill(world, "eve", 3)
    fill(world, "eve", 3)
    assert told(world) == [True]
    world.now += 1_000
    fill(world, "eve", 1)
    assert told(world) == [True, True]


def test_no_bound_refuses_no_one() -> None:
    world = World(quotas=Quotas(UNBOUNDED, UNBOUNDED, UNBOUNDED, UNBOUNDED))
    fill(world, "eve", 30)
    assert not refused(world, "eve")


@given(st.lists(st.sampled_from(["alice", "bob", "store", "commit", "crash", "ack", "pass"]), max_size=40))
def test_what_is_counted_is_what_no_device_has(steps: list[str]) -> None:
    """Whatever was stored, acknowledged or replayed in between."""
    world = World(("P", "Q"), quotas=SMALL)
    for step in steps:
        if step in ("alice", "bob"):
            world.append(step, len(world.log) + 1)
            world.run()
        elif step == "store":
            world.store_one(0)
        elif step == "commit":
            world.commit()
        elif step == "crash":
            world.crash()
        elif step == "pass":
            if world.phones["P"].stream is None:
                world.attach("P")
            world.run()
        else:
            world.ack("P", world.phones["P"].stream_sent)
        fetched = world.actor.devices.highest_cursor()
        waiting = [
            offset
            for offset, record in enumerate(world.log)
            if isinstance(record, MessageRecord) and 1000 + offset > fetched
        ]
        assert world.actor.quota.messages == len(waiting)
        assert world.actor.quota.size == len(waiting) * (BESIDES_PAYLOADS + 2)


def test_copies_of_ones_own_fill_the_mailbox_until_a_device_fetches_them() -> None:
    world = World(("P", "Q"), quotas=SMALL)
    for number in range(10):
        sent = SentRecord("me", f"i{number}", "P", "bob", "bob", number, 1, 5, payloads={"Q": b"x"})
        world.log.append(sent)
    world.log.append(SentRecord("me", "light", "P", "bob", "bob", 11, 1, 5))
    world.run()
    world.store_all()
    assert (world.actor.quota.messages, world.actor.quota.size) == (10, 10 * WEIGHT)
    assert refused(world, "bob")
    world.settle()
    assert (world.actor.quota.messages, world.actor.quota.size) == (0, 0)
    assert not refused(world, "bob")


@pytest.mark.attack("fill a mailbox with control messages, which show nowhere", "they count like any other")
def test_control_messages_count() -> None:
    world = World(quotas=SMALL)
    for number in range(3):
        cause = uuid7(number, number.to_bytes(10, "big"))
        world.log.append(
            MessageRecord("me", cause, "eve", "eve", "D", 0, 0, "s", {"P": b"x"}, urgent=False, silent=True)
        )
    world.run()
    assert refused(world, "eve")
