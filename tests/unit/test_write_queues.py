"""The write queues of a host: what is collected, what waits, what is done again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from actors.host.shards.table import ShardTable
from actors.host.shards.tickets import Ticket
from actors.host.writes.queue import Answers, WriteQueue
from actors.host.writes.writer import Stores, Writer
from actors.offsets import Offsets
from roost.errors import Unavailable
from storage.mailbox_rows import Conversation
from storage.records import ReceiptRecord, decode_record

RECEIPT = ReceiptRecord("alice", "", "bob", "bob", 5, 3, 0)


class Away:
    """MongoDB, Redis and the log: each call waits until it may end, and fails if it is told to.

    Attributes:
        calls: What was asked for, and with what.
        failure: Of every call, None while all is well.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.failure: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.accounts = self.mailboxes = self.conversations = self.cluster = self

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append((name, arguments[-1]))
            await self.may_end.wait()
            if self.failure is not None:
                raise self.failure
            return [0] * len(arguments[-1]) if name == "append" else None

        return call


class World:
    """A writer, and the offsets of one shard with one record."""

    def __init__(self) -> None:
        self.away = Away()
        self.offsets = Offsets(0)
        self.offsets.begin(0)
        self.ticket = Ticket(self.offsets, 0)
        self.answered: list[object] = []
        stores = Stores(*[cast("Any", self.away)] * 3)
        self.writer = Writer(stores, ShardTable(), self.finished, self.answered.append, lambda: 0)

    def finished(self, tickets: Any) -> None:
        for ticket in tickets:
            ticket.offsets.done(ticket.offset)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    it = World()
    yield it
    it.away.may_end.set()


async def in_flight(work: Any) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


async def test_receipts_of_a_pair_are_one(world: World) -> None:
    world.writer.receipts.add(RECEIPT, world.ticket)
    world.writer.receipts.add(ReceiptRecord("alice", "", "bob", "bob", 4, 4, 9), None)
    await world.writer.receipts.write()
    [(_, [(_, value)])] = world.away.calls
    record = decode_record(value)
    assert isinstance(record, ReceiptRecord)
    assert (record.delivered_seq, record.read_seq, record.at_ms) == (5, 4, 9)
    assert world.offsets.stored == 1


@pytest.mark.parametrize("failure", [Unavailable("no log"), ValueError("a bug")])
async def test_receipts_and_cursors_that_failed_wait_again(world: World, failure: Exception) -> None:
    receipts = world.writer.receipts
    receipts.add(RECEIPT, world.ticket, "token")
    receipts.add_cursor("bob", "phone", 7, "cursor")
    world.away.failure = failure
    with pytest.raises(type(failure)):
        await receipts.write()
    receipts.add_cursor("bob", "phone", 9, None)
    assert (receipts.waiting, world.writer.cursors.waiting, world.offsets.stored) == (2, 0, 0)
    world.away.failure = None
    await receipts.write()
    assert (world.answered, world.offsets.stored) == (["token"], 1)
    await world.writer.cursors.write()
    assert (world.answered, world.writer.waiting) == (["token", "cursor"], 0)
    assert [each.seq for each in world.away.calls[-1][1]] == [9]


async def test_messages_in_flight_wait_and_are_pending(world: World) -> None:
    writer = world.writer
    writer.receipts.add(RECEIPT, None)
    writer.receipts.add_cursor("bob", "phone", 7, None)
    writer.conversations.put(Conversation("bob", "alice", "alice"), world.ticket, None)
    world.away.may_end.clear()
    writes = [await in_flight(queue.write()) for queue in (writer.receipts, writer.conversations)]
    assert (writer.receipts.waiting, writer.conversations.waiting) == (2, 1)
    pending = writer.pending(["bob"])["bob"]
    assert (pending.cursors, [row.peer for row in pending.rows]) == ({"phone": 7}, ["alice"])
    assert writer.users_of_records() == {"bob"}
    world.away.may_end.set()
    await asyncio.gather(*writes)
    assert (writer.waiting, writer.cursors.waiting) == (1, 1)
    assert writer.pending(["bob"])["bob"].cursors == {"phone": 7}


async def test_a_floor_that_rises_during_its_write_is_written_again(world: World) -> None:
    queue = world.writer.conversations
    queue.raise_floor("bob", "phone", 4, None)
    world.away.may_end.clear()
    writing = await in_flight(queue.write())
    queue.raise_floor("bob", "phone", 6, world.ticket)
    world.away.may_end.set()
    await writing
    assert (queue.waiting, world.offsets.stored) == (1, 0)
    await queue.write()
    assert (queue.waiting, world.offsets.stored) == (0, 1)


async def test_a_question_is_answered_when_the_last_of_its_writes_is_durable() -> None:
    answered: list[object] = []
    answers = Answers(answered.append)
    answers.owe("both")
    answers.owe("both")
    answers.durable(["both", "not owed"])
    assert answered == ["not owed"]
    answers.durable(["both"])
    assert answered == ["not owed", "both"]


class Counting(WriteQueue):
    """A queue of anything, whose first writes fail."""

    def __init__(self, failures: int, linger_s: float) -> None:
        super().__init__("counting", linger_s)
        self.failures, self.items, self.written = failures, 0, asyncio.Event()

    @property
    def waiting(self) -> int:
        return self.items

    def add(self) -> None:
        self.items += 1
        self._added.set()

    async def write(self) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise ValueError("not now")
        self.items = 0
        self.written.set()


@pytest.mark.parametrize("failures", [0, 2])
async def test_a_loop_writes_what_is_added_whatever_fails(failures: int) -> None:
    queue = Counting(failures, 0.0)
    with capture_logs() as lines:
        loop = asyncio.create_task(queue.run())
        queue.add()
        async with asyncio.timeout(10):
            await queue.written.wait()
    assert queue.waiting == 0
    assert [(line["event"], line["queue"]) for line in lines] == [("write_postponed", "counting")] * failures
    loop.cancel()


async def test_collected_entries_are_written_at_once_when_hurried() -> None:
    queue = Counting(0, 600.0)
    loop = asyncio.create_task(queue.run())
    queue.add()
    await asyncio.sleep(0)
    assert queue.waiting == 1
    queue.hurry()
    async with asyncio.timeout(10):
        await queue.written.wait()
    loop.cancel()


async def test_a_stop_says_what_it_gave_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.host.writes.writer._STOP_S", 0.05)
    world.away.failure = Unavailable("no log")
    world.writer.start()
    world.writer.receipts.add(RECEIPT, None)
    assert await world.writer.stop() == ["had 1 writes waiting when it was stopped (receipts 1)."]
