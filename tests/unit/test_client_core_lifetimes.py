"""Messages that disappear, and full mailboxes: the outbox forgets the one and waits for the other."""

from roost.client import events
from roost.client.state import OutboxItem
from roost.ids import uuid7
from roost.wire import Rejected
from tests.unit.test_client_core_outbox import World


def world_of(expires_in_s: int | None) -> tuple[World, str]:
    world = World()
    world.connect()
    message_id = uuid7(world.now, b"0123456789")
    item = OutboxItem(0, message_id, "bob", world.now, b"text", expires_in_s=expires_in_s)
    world.submitted["bob"].append(message_id)
    world.perform(world.session.submit(item, world.now))
    world.seal_one(stale=False)
    return world, message_id


def expired(world: World) -> list[str]:
    return [event.id for event in world.told if isinstance(event, events.Expired)]


def test_the_client_removes_its_own_copy_when_the_time_is_over() -> None:
    world, message_id = world_of(10)
    world.serve_one("fine")
    world.pass_time(9_999)
    assert expired(world) == []
    assert message_id in world.session.state.outbox
    world.pass_time(1)
    assert expired(world) == [message_id]
    assert world.session.state.outbox == {}


def test_what_could_not_be_sent_in_its_time_is_not_sent_later() -> None:
    world, message_id = world_of(10)
    world.disconnect()
    world.pass_time(10_000)
    assert expired(world) == [message_id]
    world.connect()
    assert (world.outgoing, world.seals, world.checks) == ([], [], [])


def test_one_that_expires_does_not_hold_up_those_behind_it() -> None:
    world, _ = world_of(10)
    world.disconnect()
    second = world.submit("bob")
    world.pass_time(10_000)
    world.connect()
    assert [seal.item.id for seal in world.seals] == [second]


def test_other_messages_never_expire() -> None:
    world, message_id = world_of(None)
    world.serve_one("fine")
    world.pass_time(3_600_000)
    assert expired(world) == []
    assert message_id in world.session.state.outbox


def test_a_full_mailbox_holds_up_its_own_peer_only() -> None:
    world, message_id = world_of(None)
    refusal = Rejected(message_id, "mailbox_full", "full", retry_after_s=60.0)
    world.outgoing.clear()
    world.perform(world.session.received(refusal, world.now))
    world.submit("carol")
    assert [seal.item.to for seal in world.seals] == ["carol"]
    world.pass_time(59_000)
    assert not [frame for frame in world.outgoing if frame.to == "bob"]
    world.pass_time(31_000)
    assert [frame.id for frame in world.outgoing if frame.to == "bob"] == [message_id]
