"""What goes into a batch of the log, and what no longer may."""

from collections import deque
from typing import Any

from roost.errors import Unavailable
from storage.kafka_log.writer import _Call, _fill, _Item

SHARD = ("mailbox", 3)


class Batch:
    """Takes so many records, like a batch of the driver."""

    def __init__(self, room: int) -> None:
        self.room = room

    def append(self, *, value: bytes, **_: Any) -> bytes | None:
        self.room -= 1
        return None if self.room < 0 else value


def queued(call: _Call, count: int) -> deque[_Item]:
    return deque(_Item(b"%d" % number, call, number) for number in range(count))


async def test_a_record_that_does_not_fit_waits_for_the_next_batch() -> None:
    call = _Call(5)
    queue = queued(call, 5)
    assert [item.place for item in _fill(Batch(3), SHARD, queue)] == [0, 1, 2]
    assert [item.place for item in queue] == [3, 4]


async def test_nothing_is_taken_behind_what_the_log_did_not_take() -> None:
    """A device's messages to one user are in one call at a time; in their order, or not at all."""
    first, second = _Call(3), _Call(1)
    queue = queued(first, 3)
    queue.append(_Item(b"of someone else", second, 0))
    assert [item.place for item in _fill(Batch(1), SHARD, queue)] == [0]
    first.settle(0, Unavailable("It is away."))
    first.failed.add(SHARD)
    assert [item.value for item in _fill(Batch(9), SHARD, queue)] == [b"of someone else"]
    assert first.done.done()
    assert all(isinstance(each, Unavailable) for each in first.outcomes)


async def test_another_shard_of_the_same_call_goes_on() -> None:
    call = _Call(2)
    call.failed.add(("mailbox", 1))
    assert len(_fill(Batch(9), SHARD, queued(call, 2))) == 2
