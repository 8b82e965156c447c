"""Records that a router hands to a host: none may be missing between them."""

from typing import Any

import pytest

from actors.rpc import messages as m
from actors.rpc.messages import Open
from actors.user import UserActor
from roost.ids import uuid7
from sim.deterministic.facts import Violation
from sim.deterministic.hosts import Host
from sim.deterministic.links import End
from sim.deterministic.world import Plan, World
from storage.records import MessageRecord, encode_record
from tests.unit.link_ends import Silent


def hello(number: int) -> bytes:
    cause = uuid7(number, bytes(10))
    payloads = {"ANN0000000": b"x"}
    return encode_record(MessageRecord("ann", cause, "bob", "bob", "BOB0000000", number, 0, "s", payloads))


class OneShard:
    """A host with one shard, which a router has opened at its first record."""

    def __init__(self, actor: type[UserActor] = UserActor) -> None:
        self.world = World(Plan(1, (1, 1)), actor)
        self.host: Host = self.world.hosts["h0"]
        self.router = End(Silent(), "router", "r9")
        self.host.opened(self.router)
        self.open()

    def open(self) -> None:
        self.host.received(self.router, [Open(0, 1, 0, 0)])
        self.router.incoming.clear()  # its end sends to itself

    def bring(self, *offsets: int) -> bool:
        """Hand over records; returns whether the host asks for the shard to be read again."""
        part = m.Part(0, list(offsets), [hello(offset) for offset in offsets])
        self.host.received(self.router, [m.Batch([part])])
        asked = any(isinstance(each, m.NotMine) for each in self.router.incoming)
        self.router.incoming.clear()
        return asked

    def stored(self) -> list[int]:
        """Return the numbers of what is stored, once nothing is left to do."""
        while self.host.tasks or self.host.writes():
            for kind in self.host.writes():
                self.host.write(kind)
            if self.host.tasks:
                self.host.go_on(0, "done")
        return [each.seq for each in self.world.store.mailbox("ann")]


def test_records_that_did_not_come_are_asked_for_again() -> None:
    it = OneShard()
    assert not it.bring(0)
    assert it.bring(2)
    assert it.bring(3), "it was on its way before the router heard"
    it.open()
    assert not it.bring(0, 1, 2, 3)
    assert it.stored() == [1, 2, 3, 4]


def test_a_log_that_has_a_gap_goes_on() -> None:
    it = OneShard()
    assert not it.bring(0)
    assert it.bring(2, 3)
    it.open()
    assert it.bring(0, 2, 5)
    it.open()
    assert not it.bring(0, 2, 5)
    assert not it.bring(6)
    assert it.stored() == [1, 3, 6, 7]


class Unmade(UserActor):
    """The actor of a user whose stored state makes none."""

    def __init__(self, *_: Any) -> None:
        raise ArithmeticError("the state is impossible")


def test_what_comes_for_a_user_whose_state_makes_no_actor_is_a_dead_letter() -> None:
    it = OneShard(Unmade)
    it.bring(0)
    with pytest.raises(Violation, match="the recipient cannot be loaded"):  # as a run calls every dead letter
        it.stored()
