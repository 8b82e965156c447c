"""The inbox: whose messages wait for keys, who passes them, and what becomes of odd ones."""

from typing import Any

import msgspec
import pytest

from roost.client import events
from roost.client.content import Text
from roost.client.core import Session
from roost.client.core.directory import Directory
from roost.client.effects import Batch, Take
from roost.client.shell import inbox as inboxes
from roost.client.shell.inbox import ASKED_AT_MOST, HELD_AT_MOST, Inbox
from roost.client.state import Pin, State
from roost.crypto import DeviceSecrets, Heading, seal
from roost.crypto.keys import device_keys
from roost.ids import uuid7
from roost.wire import Drained, MessageEntry, Ready, SentEntry

NOW = 1_790_000_000_000
BOB = DeviceSecrets.from_random(b"b" * 64)
TABLET = DeviceSecrets.from_random(b"t" * 64)
PEERS = {name: DeviceSecrets.from_random(name[0].encode() * 64) for name in ("alice", "carol", "stranger")}


def phone_of(name: str) -> str:
    return f"{name.upper()}PHONE"


class World:
    """Bob's inbox; his app takes what it is told at once, unless it is busy."""

    def __init__(self, state: State | None = None, peers: dict[str, dict[str, Pin]] | None = None) -> None:
        self.state = state or State(cursor=0)
        self.peers = peers if peers is not None else {}
        self.session = Session(self.state)
        self.directory = Directory("here", self.peers)
        self.inbox = Inbox(self.session, self.directory, BOB, "bob", "here")
        self.told: list[events.Event] = []
        self.queue: list[tuple[events.Event | None, int]] = []
        self.busy = False
        self.seq = self.session.cursor or 0
        self.session.received(Ready("BOBPHONE", self.seq, NOW), NOW)

    def knows(self, *names: str) -> None:
        for name in names:
            bundle = device_keys(f"@{name}:here", phone_of(name), PEERS[name])
            self.directory.learn(name, {phone_of(name): bundle})

    def comes(self, sender: str, **odd: Any) -> set[str]:
        seq, prev = self.seq + 10, self.seq
        self.seq = seq
        made = uuid7(NOW, seq.to_bytes(10, "big"))
        heading = Heading(f"@{sender}:here", phone_of(sender), "@bob:here", made, NOW)
        text = f"{sender} {seq}".encode()
        sealed = seal(text, heading, PEERS[sender], BOB.curve25519_public)
        entry = MessageEntry(seq, prev, NOW, made, sender, phone_of(sender), NOW, NOW, "sealed.v1", sealed)
        return self.receive([msgspec.structs.replace(entry, **odd)])

    def copied(self, made: str = "", *, signer: DeviceSecrets | None = None, **odd: Any) -> set[str]:
        """Bob's tablet wrote to alice."""
        self.seq += 10
        made = made or uuid7(NOW, self.seq.to_bytes(10, "big"))
        heading = Heading("@bob:here", "BOBTABLET", "@alice:here", made, NOW)
        sealed = seal(b"mine", heading, signer or TABLET, BOB.curve25519_public)
        entry = SentEntry(
            self.seq, self.seq - 10, NOW, made, "alice", "BOBTABLET", 77, NOW, NOW, "sealed.v1", sealed
        )
        return self.receive([msgspec.structs.replace(entry, **odd)])

    def knows_tablet(self) -> None:
        bundle = device_keys("@bob:here", "BOBTABLET", TABLET)
        self.directory.learn("bob", {"BOBTABLET": bundle})

    def receive(self, entries: list[MessageEntry | SentEntry]) -> set[str]:
        for effect in self.session.received(Batch(list(entries)), NOW):
            assert isinstance(effect, Take)
            self.inbox.add(effect)
        return self.inbox.process(self.deliver)

    def release(self, peer: str) -> None:
        self.inbox.release(peer, self.deliver)
        self.inbox.process(self.deliver)

    def deliver(self, event: events.Event | None, seq: int) -> None:
        self.queue.append((event, seq))
        if not self.busy:
            self.take()

    def take(self, count: int = 1_000) -> None:
        for event, seq in self.queue[:count]:
            if event is not None:
                self.told.append(event)
            self.session.taken(seq, NOW)
        del self.queue[:count]

    def restart(self) -> "World":
        again = World(msgspec.json.decode(msgspec.json.encode(self.state), type=State), self.peers)
        again.seq = self.seq
        return again

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.told if isinstance(event, events.MessageReceived)]


def test_messages_without_keys_wait_by_themselves() -> None:
    world = World()
    world.knows("alice")
    world.comes("alice")
    assert world.comes("stranger") == {"stranger"}
    world.comes("alice")
    world.comes("stranger")
    world.comes("alice")
    assert world.texts == ["alice 10", "alice 30", "alice 50"]
    assert world.state.cursor == 10, "what waits is not acknowledged"
    world.knows("stranger")
    world.release("stranger")
    assert world.texts[3:] == ["stranger 20", "stranger 40"]
    assert world.state.cursor == 50


def test_the_end_of_the_mailbox_takes_no_message_that_waits() -> None:
    world = World()
    world.comes("stranger")
    for effect in world.session.received(Drained(10, 10), NOW):
        assert isinstance(effect, Take)
        world.inbox.add(effect)
    world.inbox.process(world.deliver)
    assert world.told == [events.Synced(10)]
    assert world.state.cursor == 0
    world.knows("stranger")
    world.release("stranger")
    assert (world.texts, world.state.cursor) == (["stranger 10"], 10)


def test_the_cursor_follows_what_is_released_one_by_one() -> None:
    world = World()
    world.comes("stranger")
    world.comes("carol")
    assert world.comes("alice") == {"stranger", "carol", "alice"}
    assert world.state.cursor == 0
    for name, cursor in (("carol", 0), ("stranger", 20), ("alice", 30)):
        world.knows(name)
        world.release(name)
        assert world.state.cursor == cursor


@pytest.mark.parametrize("taken", range(5))
def test_after_a_crash_each_is_told_once(taken: int) -> None:
    world = World()
    world.knows("alice")
    entries = [("stranger", 10), ("alice", 20), ("stranger", 30), ("alice", 40)]
    for name, seq in entries:
        world.busy = seq == 40
        world.comes(name)
    world.knows("stranger")
    world.release("stranger")
    world.comes("alice")
    world.take(taken)
    again = world.restart()
    again.seq = again.session.cursor or 0
    for name, seq in [*entries, ("alice", 50)]:
        if seq > again.seq:
            again.seq = seq - 10
            again.comes(name)
    everything = ["alice 20", "alice 40", "stranger 10", "stranger 30", "alice 50"]
    assert sorted(world.texts + again.texts) == sorted(everything)
    assert world.texts == everything[: 1 + taken]
    assert again.state.cursor == 50


def test_whose_keys_stay_away_is_undecryptable_in_the_end() -> None:
    world = World()
    world.knows("alice")
    world.comes("stranger")
    for times in range(1, ASKED_AT_MOST + 1):
        assert world.inbox.asked("stranger") == times
        world.release("stranger")
    [event] = world.told
    assert isinstance(event, events.Undecryptable)
    assert (event.reason, world.state.cursor) == ("unknown_device", 10)
    assert not world.inbox.waits_for("stranger")
    assert world.comes("stranger") == {"stranger"}, "the next one is asked for again"
    world.inbox.give_up("stranger")
    world.release("stranger")
    assert len(world.told) == 2


def test_beyond_so_many_all_wait_for_the_keys() -> None:
    world = World()
    world.knows("alice")
    for _ in range(HELD_AT_MOST):
        world.comes("stranger")
    world.comes("alice")
    assert len(world.told) == 1, "there are few enough to be passed"
    world.comes("stranger")
    world.comes("alice")
    assert len(world.told) == 1
    world.knows("stranger")
    world.release("stranger")
    kinds = [type(event) for event in world.told]
    assert kinds == [events.MessageReceived] * (HELD_AT_MOST + 3)
    assert world.state.cursor == world.seq


def test_keys_that_cannot_be_had_hold_no_one_up_for_good() -> None:
    world = World()
    world.knows("alice")
    for _ in range(2 * HELD_AT_MOST):
        world.comes("stranger")
    world.comes("alice")
    for _ in range(2):
        world.inbox.give_up("stranger")
        world.release("stranger")
    kinds = [type(event) for event in world.told]
    lost = [events.Undecryptable] * HELD_AT_MOST
    assert kinds == [*lost, events.MessageReceived, *lost]


def test_a_lost_cursor_forgets_what_waited() -> None:
    world = World()
    world.knows("alice")
    world.comes("stranger")
    world.session.lose_cursor()
    world.session.received(Ready("BOBPHONE", 500, NOW), NOW)
    world.seq = 500
    world.comes("alice")
    assert world.state.cursor == 510


ODD: dict[str, dict[str, Any]] = {
    "another suite": {"suite": "sealed.v9"},
    "an id that is none": {"id": "7"},
    "no payload": {"payload": b""},
    "a name that is none": {"from_device": "\0"},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_entry_is_an_event_and_the_next_one_is_read(odd: dict[str, Any]) -> None:
    world = World()
    world.knows("alice")
    world.peers["alice"]["\0"] = world.peers["alice"][phone_of("alice")]
    world.comes("alice", **odd)
    world.comes("alice")
    assert [type(event) for event in world.told] == [events.Undecryptable, events.MessageReceived]


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), KeyError("x"), AssertionError()])
def test_whatever_opening_raises_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world = World()
    world.knows("alice")

    def fail(*_: object) -> bytes:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(inboxes, "open_sealed", fail)
        world.comes("alice")
    world.comes("alice")
    assert world.texts == ["alice 20"]
    assert isinstance(world.told[0], events.Undecryptable)
    assert world.told[0].reason == "malformed"


# --- copies of what another own device sent ---


def copies(world: World) -> list[events.SentElsewhere]:
    return [event for event in world.told if isinstance(event, events.SentElsewhere)]


def test_a_copy_is_opened_with_the_keys_of_ones_own_device() -> None:
    world = World()
    world.knows("alice")
    assert world.copied(silent=True, expires_at_ms=NOW + 9) == {"bob"}
    world.comes("alice")
    assert world.texts == ["alice 20"], "another's message does not wait for it"
    world.knows_tablet()
    world.release("bob")
    [copy] = copies(world)
    assert (copy.peer, copy.device, copy.seq, copy.text) == ("alice", "BOBTABLET", 77, "mine")
    assert (copy.silent, copy.expires_at_ms, copy.reason) == (True, NOW + 9, "")
    assert copy.content == b"mine"


def test_a_copy_is_told_once_also_after_a_restart() -> None:
    world = World()
    world.knows_tablet()
    made = uuid7(NOW, bytes(10))
    world.copied(made)
    world.copied(made)
    again = world.restart()
    again.copied(made)
    assert len(copies(world)) == 1
    assert copies(again) == []


def test_what_came_without_a_copy_is_told_and_the_copy_after_it_too() -> None:
    world = World()
    made = uuid7(NOW, bytes(10))
    assert world.copied(made, payload=None) == set(), "nothing is to be opened, so no keys are asked for"
    world.knows_tablet()
    world.copied(made)
    assert [(copy.body, copy.text) for copy in copies(world)] == [(None, ""), (Text("mine"), "mine")]


@pytest.mark.attack(
    "show a user's own copy as a message, or as sent to another peer",
    "a copy has the signed heading of the message itself",
)
def test_a_copy_cannot_be_passed_off_as_anything_else() -> None:
    world = World()
    world.knows_tablet()
    world.copied(to="carol")
    assert [(copy.content, copy.reason) for copy in copies(world)] == [(None, "wrong_heading")]

    made, other = uuid7(NOW, b"a" * 10), uuid7(NOW, b"b" * 10)
    heading = Heading("@bob:here", "BOBTABLET", "@alice:here", made, NOW)
    sealed = seal(b"mine", heading, TABLET, BOB.curve25519_public)
    seq = world.seq
    head = (NOW, made, "bob", "BOBTABLET", NOW, NOW, "sealed.v1", sealed)
    world.receive([MessageEntry(seq + 1, seq, *head)])
    refused = [event.reason for event in world.told if isinstance(event, events.Undecryptable)]
    assert refused == ["wrong_heading"]
    tail = ("alice", "BOBTABLET", 78, NOW, NOW, "sealed.v1", sealed)
    world.receive([SentEntry(seq + 2, seq + 1, NOW, other, *tail)])
    assert copies(world)[-1].reason == "wrong_heading", "another id"
    assert world.texts == []


@pytest.mark.attack(
    "show what a peer wrote as what the user wrote", "copies are verified with the user's own devices' keys"
)
def test_what_a_peer_wrote_is_no_copy() -> None:
    world = World()
    world.knows("alice")
    world.knows_tablet()
    world.copied(signer=PEERS["alice"])
    [copy] = copies(world)
    assert (copy.content, copy.reason) == (None, "bad_signature")
