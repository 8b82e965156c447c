"""The accept path while the log fails and stands still: of each device a beginning is accepted."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.identity.directory import Person
from api.identity.limits import Limits
from api.identity.tokens import Principal
from api.sending.acceptance import Acceptance
from api.sending.admission import Admission, Bounds
from api.sending.answers import Answers
from api.sending.gate import Gate
from api.sending.room import Room
from api.sending.send_request import Outcome, SendRequest
from api.sending.sender import Sender
from api.sending.sequence import Sequencer
from roost import wire
from roost.errors import Unavailable
from roost.ids import uuid7
from storage.ports import Accepted

NOW = 1_795_000_000_000
BOB = Person("u-bob", "bob", frozenset({"PHONE00001"}), frozenset({"PHONE00001"}))
DEVICES = ("a", "b", "c")


class Directory:
    """Knows every user."""

    def peek(self, username: str) -> Person:
        if username == "bob":
            return BOB
        return Person(f"u-{username}", username, frozenset({username}), frozenset({username}))


class Cache:
    async def recall(self, keys: Sequence[Any]) -> list[None]:
        return [None] * len(keys)

    async def greatest_ids(self, _devices: Sequence[str]) -> dict[str, str]:
        return {}

    async def remember(self, _answers: Any) -> None:
        return


class Log:
    """Answers an append when it is told to, and takes as many of its records as it is told to."""

    def __init__(self) -> None:
        self.open: list[tuple[int, asyncio.Future[list[int | Exception]]]] = []
        self.taken = 1

    async def append(self, _topic: str, items: Sequence[Any]) -> list[int | Exception]:
        future: asyncio.Future[list[int | Exception]] = asyncio.get_running_loop().create_future()
        self.open.append((len(items), future))
        return await future

    def answer(self, take: int) -> None:
        if self.open:
            count, future = self.open.pop(0)
            take = min(take, count)
            offsets: list[int | Exception] = list(range(self.taken, self.taken + take))
            self.taken += take
            future.set_result(offsets + [Unavailable("The log is away.")] * (count - take))


class World:
    """A gateway's accept path with devices that never wait."""

    def __init__(self, bounds: Bounds) -> None:
        self.log = Log()
        store: Any = object()
        cache: Any = Cache()
        directory: Any = Directory()
        sequencer = Sequencer(self.log, store)  # type: ignore[arg-type]
        sequencer.adopt([1])
        limits = Limits(cache, lambda: NOW)
        acceptance = Acceptance(
            store,
            Answers(cache),
            sequencer,
            directory,
            limits,
            Room(store, lambda: NOW),
            lambda: NOW,
        )
        self.sender = Sender(Gate(Admission(bounds), sequencer, directory, limits), acceptance)
        self.sent: dict[str, list[str]] = {device: [] for device in DEVICES}
        self.answers: dict[str, list[tuple[str, Outcome]]] = {device: [] for device in DEVICES}
        self._made = 0

    async def step(self, kind: str, device: str, count: int) -> None:
        if kind == "send":
            for _ in range(count):
                self._send(device)
        elif kind == "take":
            self.log.answer(count)
        elif kind == "fail":
            self.log.answer(0)
        else:
            self.sender._sweep(1e12)
        for _ in range(8):
            await asyncio.sleep(0)

    def _send(self, device: str) -> None:
        self._made += 1
        message_id = uuid7(NOW, self._made.to_bytes(10, "big"))
        self.sent[device].append(message_id)
        frame = wire.Send(message_id, "bob", NOW, "sealed.v1", {"PHONE00001": b"sealed"})
        principal = Principal(f"u-{device}", device, device, "family", NOW * 2, frozenset())
        self.sender.submit(
            SendRequest(principal, frame, lambda outcome: self.answers[device].append((message_id, outcome)))
        )

    async def end(self) -> None:
        while self.sender.gate.admission.inside:
            await self.step("take", "", 1_000)
        self.sender.gate.close()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "send", "take", "take", "fail", "sweep"]),
            st.sampled_from(DEVICES),
            st.integers(1, 8),
        ),
        max_size=40,
    ),
    st.integers(1, 60),
)
def test_each_device_has_a_prefix_of_its_messages_accepted(
    steps: list[tuple[str, str, int]], room: int
) -> None:
    async def run() -> None:
        world = World(Bounds(sends=room))
        for step in steps:
            await world.step(*step)
        await world.end()
        for device in DEVICES:
            answers = dict(world.answers[device])
            assert list(answers) != [] or not world.sent[device]
            assert answers.keys() == set(world.sent[device])
            accepted = [each for each in world.sent[device] if isinstance(answers[each], Accepted)]
            assert accepted == world.sent[device][: len(accepted)]
            seqs = [answers[each].seq for each in accepted]  # type: ignore[union-attr]
            assert seqs == sorted(seqs)
            refusals = [each for each in answers.values() if not isinstance(each, Accepted)]
            assert all(each.retry_after_s and each.retry_after_s >= 0.05 for each in refusals)
        assert (world.sender.gate.admission.inside, world.sender.gate.admission.size) == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize(("waiting", "longest_s"), [(1, 2.0), (100, 0.5)])
async def test_what_waits_too_long_for_its_turn_is_refused(waiting: int, longest_s: float) -> None:
    world = World(Bounds(queue_s=0.5))
    await world.step("send", "a", 1)
    began_s = time.monotonic()
    await world.step("send", "a", waiting)  # for the round of the first, and the log stands still
    async with asyncio.timeout(30):
        while not world.answers["a"]:
            await asyncio.sleep(0.01)
    assert time.monotonic() - began_s >= longest_s
    assert [each for each, _ in world.answers["a"]] == world.sent["a"][1:]
    await world.end()


async def test_a_stall_of_the_process_is_no_wait_for_a_turn() -> None:
    world = World(Bounds(queue_s=0.5))
    await world.step("send", "a", 1)
    await world.step("send", "a", 100)
    time.sleep(0.7)  # noqa: ASYNC251 -- the whole process stands still
    for _ in range(4):  # and then does what is due
        await asyncio.sleep(0)
    assert world.answers["a"] == []
    await world.end()
