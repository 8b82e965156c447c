"""A gateway's knowledge of full mailboxes: whom it asks about, how often, and what it then refuses."""

from typing import Any

import pytest

from actors.rpc import messages as m
from actors.rpc import questions as q
from api.identity.directory import Person
from api.identity.tokens import Principal
from api.sending.room import RETRY_S, Room
from api.sending.send_request import Outcome, SendRequest
from roost import wire
from roost.errors import RoostError, Unavailable

BOB = Person("u-bob", "bob", "bob", frozenset({"P"}), frozenset({"P"}))


class World:
    """A gateway whose questions are answered by a set of refused senders."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.refused: set[str] = set()
        self.away = False
        self.asked: list[str] = []
        self.room = Room(self._answer, lambda: self.now)

    async def _answer(self, user: str, question: Any, timeout_s: float) -> q.Answer:
        assert (user, timeout_s) == ("u-bob", 1.0)
        self.asked.append(question.sender)
        if self.away:
            raise Unavailable("The host is away.")
        if question.sender in self.refused:
            raise RoostError("mailbox_full", "full")
        return q.Done()

    async def send(self, sender: str) -> RoostError | None:
        """Return what a send to Bob is refused with."""
        answers: list[Outcome] = []
        principal = Principal(sender, sender, f"D-{sender}", "family", 0, frozenset())
        item = SendRequest(principal, wire.Send("id", "bob", 0, "s", {"P": b"x"}), answers.append)
        item.person = BOB
        await self.room.admit([item])
        assert not item.refused, "what the device sends to others does not wait for this"
        return answers[0] if answers and isinstance(answers[0], RoostError) else None


@pytest.fixture
def world() -> World:
    return World()


async def test_nothing_is_asked_while_no_mailbox_is_full(world: World) -> None:
    assert not world.room.concerns("u-bob")
    assert await world.send("eve") is None
    assert world.asked == []


async def test_who_may_not_send_is_told_when_to_come_again(world: World) -> None:
    world.room.heard(m.Room("u-bob", full=True))
    world.refused.add("eve")
    refusal = await world.send("eve")
    assert refusal is not None
    assert (refusal.code.word, refusal.code.status) == ("mailbox_full", 429)
    assert refusal.retry_after_s == RETRY_S
    assert await world.send("friend") is None
    assert world.room.refused == 1


async def test_a_sender_is_asked_about_every_five_seconds_however_much_it_sends(world: World) -> None:
    world.room.heard(m.Room("u-bob", full=True))
    world.refused.add("eve")
    for _ in range(3):
        assert await world.send("eve") is not None
    assert world.asked == ["eve"]
    world.now += 5_000
    world.refused.clear()
    assert await world.send("eve") is None
    assert world.asked == ["eve", "eve"]


async def test_all_may_send_when_the_host_says_so(world: World) -> None:
    world.room.heard(m.Room("u-bob", full=True))
    world.refused.add("eve")
    assert await world.send("eve") is not None
    world.room.heard(m.Room("u-bob", full=False))
    assert await world.send("eve") is None
    assert not world.room.concerns("u-bob")


async def test_a_host_that_does_not_answer_refuses_no_one(world: World) -> None:
    world.room.heard(m.Room("u-bob", full=True))
    world.away = True
    assert await world.send("eve") is None


@pytest.mark.attack("a patient stranger sends one message whenever the gateway has forgotten")
async def test_a_refusal_is_remembered_as_long_as_the_stranger_comes_again(world: World) -> None:
    world.room.heard(m.Room("u-bob", full=True))
    world.refused.add("eve")
    for _ in range(5):
        assert await world.send("eve") is not None
        world.now += 3_500_000
    world.now += 3_600_000
    assert await world.send("eve") is None, "an hour after the last refusal it is forgotten"
