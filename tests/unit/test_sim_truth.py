"""What the deterministic runs hold against a mailbox and against what people are told."""

from typing import Any

import pytest

from actors.user import effects as do
from roost.client import events
from sim.deterministic.facts import Violation
from sim.deterministic.invariants import Truth
from sim.deterministic.rest import check_rest
from sim.deterministic.stores import Store
from sim.deterministic.world import KEYS
from storage.account_rows import Device, User
from storage.mailbox_rows import Block, MailboxDocument
from storage.records import MessageRecord, encode_record

FIRST, SECOND = "0192f0c1-0000-7000-8000-000000000001", "0192f0c1-0000-7000-8000-000000000002"


class World:
    """Bob's mailbox: 1 from Ann, and 2 from Cat, which names ``prev`` as the entry before it."""

    def __init__(self, prev: int) -> None:
        self.store = Store()
        self.truth = Truth(self.store)
        for name in ("ann", "bob", "cat"):
            self.store.users[name] = User(name, name, "", name, 0)
            self.store.devices[name] = [Device(name, name.upper(), name, 0, KEYS)]
            self.truth.owner[name.upper()] = name
        self.stored("ann", FIRST, 1, 0)
        self.stored("cat", SECOND, 2, prev)

    def stored(self, sender: str, message_id: str, seq: int, prev: int) -> None:
        record = MessageRecord("bob", message_id, sender, sender, sender.upper(), 0, 0, "", {"BOB": b""})
        self.truth.meant(sender.upper(), "bob", message_id, b"")
        value = encode_record(record)
        document: Any = MailboxDocument("bob", seq, prev, "m", sender, sender.upper(), message_id, 0, value)
        self.store.documents.setdefault("bob", {})[seq] = document
        self.truth.messages[message_id].kept_by.append("BOB")

    def known_as_blocked(self, peer: str, since: int) -> None:
        self.truth.effect("bob", do.PutBlock(Block("bob", peer, peer, since), None))


def test_an_entry_that_skips_another_is_found() -> None:
    check_rest(World(prev=1).truth, 0)
    for parted in (False, True):
        world = World(prev=0)
        world.truth.parted = parted
        with pytest.raises(Violation, match="chain"):
            check_rest(world.truth, 0)


def test_a_host_may_skip_what_it_alone_knew_as_blocked() -> None:
    world = World(prev=0)
    world.truth.parted = True
    world.known_as_blocked("ann", since=1)
    check_rest(world.truth, 0)
    world = World(prev=0)
    world.known_as_blocked("ann", since=1)  # and no shard was ever elsewhere
    with pytest.raises(Violation, match="chain"):
        check_rest(world.truth, 0)
    world = World(prev=0)
    world.truth.parted = True
    world.known_as_blocked("ann", since=2)
    with pytest.raises(Violation, match="chain"):
        check_rest(world.truth, 0)


def test_no_entry_follows_one_that_is_not_there() -> None:
    """A device would be told that it missed something."""
    world = World(prev=1)
    world.truth.parted = True
    world.known_as_blocked("ann", since=1)
    del world.store.documents["bob"][1]
    with pytest.raises(Violation, match="chain"):
        check_rest(world.truth, 0)


def test_a_note_that_no_mailbox_has_is_not_delivered() -> None:
    world = World(prev=1)
    world.store.devices["ann"].append(Device("ann", "ANN2", "ann", 0, KEYS))
    world.truth.meant("ANN", "ann", "note", b"")
    with pytest.raises(Violation, match="receipt_without_delivery"):
        world.truth.told("ANN", events.Delivered("ann", 5, ("note",)))
