"""Whom a user lets know what: contacts and strangers, and those who are blocked."""

import pytest
from msgspec import structs

from actors.user import effects as do
from actors.user import events as ev
from storage.mailbox_rows import Block
from storage.records import KeysRecord
from tests.unit.mailbox_world import BASE, ME, World


def world_of(**settings: object) -> World:
    """Return a world whose user has these settings, and an entry of alice, a stranger."""
    world = World()
    world.actor.peers.user = structs.replace(ME, last_seen_ms=7, **settings)
    world.actor.presence.last_seen_ms = 7
    world.append("alice", 1)
    world.settle()
    return world


def write_to(world: World, peer: str) -> list[do.Effect]:
    """The user writes to a peer: a gateway tells the host."""
    return world.feed(ev.ContactMade("t", peer, peer))


def seen_by(world: World, peer: str) -> tuple[bool, int | None]:
    (answer,) = world.feed(ev.PresenceAsked("t", peer))
    assert isinstance(answer, do.AnswerPresence)
    return answer.online, answer.last_seen_ms


def receive_of(world: World, peer: str) -> None:
    """The peer's receipt comes: it has received what the user wrote."""
    world.append_receipt(peer, 50, 0)
    world.settle()


SETTINGS = [
    ({"last_seen": "everyone"}, True, True),
    ({"last_seen": "contacts"}, False, True),
    ({"last_seen": "nobody"}, False, False),
    ({"last_seen": "everyone", "requests": True}, False, True),
    ({"last_seen": "nobody", "requests": True}, False, False),
]


@pytest.mark.attack(
    "learn as a stranger whether a user is online",
    "last_seen and requests: only a contact is told",
)
@pytest.mark.parametrize(("settings", "stranger", "contact"), SETTINGS)
@pytest.mark.parametrize("become", [write_to, receive_of])
def test_presence(settings: dict[str, object], become: object, *, stranger: bool, contact: bool) -> None:
    """Who writes to a user is no contact by that: the user has to write, and the peer may receive it."""
    world = world_of(**settings)
    assert (seen_by(world, "alice")[0]) is stranger
    become(world, "alice")  # type: ignore[operator]
    assert (seen_by(world, "alice")[0]) is contact
    world.feed(ev.BlockAsked("t", "alice", "alice", blocked=True))
    assert seen_by(world, "alice") == (False, None)


def test_who_watches_is_told_when_it_becomes_a_contact() -> None:
    world = world_of(last_seen="contacts")
    assert do.TellPresence("alice", online=False, last_seen_ms=None) in world.feed(ev.Watched("alice"))
    assert do.TellPresence("alice", online=True, last_seen_ms=None) in write_to(world, "alice")


@pytest.mark.attack(
    "learn by a receipt when a stranger is there",
    "delivery_receipts and requests: only a contact gets receipts",
)
@pytest.mark.parametrize(
    "settings", [{"delivery_receipts": "contacts"}, {"requests": True}, {"last_seen": "nobody"}]
)
def test_receipts(settings: dict[str, object]) -> None:
    """A receipt tells when somebody was online: a stranger gets none, if the user wants that."""
    withheld = "last_seen" not in settings
    world = world_of(**settings)
    world.feed(ev.ReadMarked("alice", "alice", BASE, "t"))
    assert (world.told["alice"] == []) is withheld
    write_to(world, "alice")
    assert world.told["alice"][-1] == (BASE, BASE), "what was withheld is told to a contact"
    world.append("alice", 2)
    world.settle()
    assert world.told["alice"][-1] == (BASE + 1, BASE)


def test_what_was_withheld_is_told_by_another_host_too() -> None:
    """The marks of the life before are gone: they follow from the cursors."""
    world = world_of(delivery_receipts="contacts")
    world.commit()
    world.load()
    world.actor.peers.user = structs.replace(ME, delivery_receipts="contacts")
    write_to(world, "alice")
    assert world.told["alice"] == [(BASE, 0)]


@pytest.mark.attack(
    "be told of a delivery that has not been acknowledged",
    "only what was acknowledged is ever told",
)
def test_unread_and_unacknowledged_is_not_told_to_a_new_contact() -> None:
    world = World()
    world.actor.peers.user = structs.replace(ME, delivery_receipts="contacts")
    world.append("alice", 1)
    world.run()
    write_to(world, "alice")
    assert world.told["alice"] == []


def test_a_contact_is_made_once() -> None:
    world = world_of()
    assert [type(each) for each in write_to(world, "alice")] == [do.PutRow]
    assert write_to(world, "alice") == [do.AnswerDone("t")]
    assert (world.rows["alice"].contact, world.rows["alice"].heard) == (1, 1)


@pytest.mark.attack("show a stranger that one is typing", "requests: typing of a contact only")
@pytest.mark.parametrize(("requests", "shown"), [(False, True), (True, False)])
def test_typing_of_a_stranger(*, requests: bool, shown: bool) -> None:
    world = world_of(requests=requests)
    typing = ev.TypingHeard("alice", "alice", "typing")
    assert bool(world.feed(typing)) is shown
    write_to(world, "alice")
    assert world.feed(typing)
    world.feed(ev.BlockAsked("t", "alice", "alice", blocked=True))
    assert not world.feed(typing)


@pytest.mark.attack(
    "fill a mailbox with changes of one's devices, being blocked",
    "a blocked user's changes are no entries",
)
@pytest.mark.parametrize(("blocked", "entries"), [(False, 1), (True, 0)])
@pytest.mark.parametrize("change", ["added", "removed", "changed"])
def test_devices_of_one_who_is_blocked(entries: int, change: str, *, blocked: bool) -> None:
    world = world_of()
    world.feed(ev.BlockAsked("t", "alice", "alice", blocked=blocked))
    world.log.append(KeysRecord("me", "c", "alice", "alice", "DALICE", change, 5))  # type: ignore[arg-type]
    world.settle()
    assert len([each for each in world.documents.values() if each.kind == "k"]) == entries


@pytest.mark.attack(
    "write to one who has blocked the writer",
    "nothing is kept but what was answered: no entry, no wake-up, no receipt",
)
def test_of_a_message_to_one_who_blocks_a_stub_is_kept() -> None:
    """What its sender was answered, and nothing of what was written: no entry, no wake-up, no receipt."""
    world = World(pushable=True)
    world.feed(ev.BlockAsked("t", "alice", "alice", blocked=True))
    world.append("alice", 1)
    world.append("alice", 1)
    world.run()
    kept = [each for each in world.effects if isinstance(each, do.KeepStub)]
    assert [(each.seq, each.record) for each in kept] == [(BASE, world.log[0]), (BASE + 1, world.log[1])]
    assert not world.documents
    assert not world.wakes
    assert not world.told["alice"]
    assert world.actor.peers.blocks["alice"] == Block("me", "alice", "alice", BASE)


@pytest.mark.attack(
    "have another user's message dropped as a repeat of one's own",
    "a repeat is one of the same user and device",
)
@pytest.mark.parametrize("reloaded", [False, True])
def test_devices_of_two_users_may_have_one_id(*, reloaded: bool) -> None:
    """A message of the one is no repeat of the other's, whatever its id; a repeat of either is one."""
    world = World()
    world.append("alice", 1)
    world.log.append(structs.replace(world.log[0], sender="bob", sender_name="bob"))
    world.settle()
    if reloaded:
        world.commit()
        world.load()
    world.log.extend(world.log[:2])
    world.settle()
    assert [each.sender for each in world.documents.values()] == ["alice", "bob"]
