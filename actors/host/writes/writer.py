"""Durable writes: a queue for each kind, and what of a user is in none of the stores yet."""

import asyncio
from collections.abc import Callable, Collection
from typing import NamedTuple

import structlog
from msgspec import Struct, field

from actors.host.shards.table import ShardTable
from actors.host.shards.tickets import Finished
from actors.host.writes.appender import Appender
from actors.host.writes.conversations import ConversationQueue
from actors.host.writes.entries import EntryQueue
from actors.host.writes.queue import Answers, WriteQueue
from actors.host.writes.receipts import CursorQueue, ReceiptQueue
from actors.host.writes.stubs import StubQueue
from actors.host.writes.user_state import UserStateQueue
from actors.host.writes.wakeups import WakeupQueue
from roost.clock import Clock
from roost.tasks import BackgroundTasks
from storage.mailbox_rows import Block, Conversation
from storage.ports import Cache, LogWriter, Store

log = structlog.get_logger()

_STOP_S = 5.0


class Stores(NamedTuple):
    """What a host works with: MongoDB, Redis and the log."""

    store: Store
    cache: Cache
    log: LogWriter


class Pending(Struct):
    """What of one user is on its way to the store: what it says counts more than what is there.

    Attributes:
        cursors: By device.
        rows: The newest of a pair last.
        blocks: The newest of a pair last.
    """

    cursors: dict[str, int] = field(default_factory=dict)
    rows: list[Conversation] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class Writer:
    """The queues between the actors' effects and the stores.

    Args:
        stores: Written to.
        shards: How many there are.
        finished: Called with the tickets of every write that is durable.
        answer: Called with the token of a question when what it asked for is durable.
        clock: Unix milliseconds.
        linger_s: Entries are collected this long, in seconds.

    Attributes:
        queues: All of them.
    """

    def __init__(
        self,
        stores: Stores,
        shards: ShardTable,
        finished: Finished,
        answer: Callable[[object], None],
        clock: Clock,
        linger_s: float = 0.0,
    ) -> None:
        store, cache, log_writer = stores
        answers, appender = Answers(answer), Appender(log_writer, shards)
        self.entries = EntryQueue(store, finished, linger_s)
        self.stubs = StubQueue(store, finished)
        self.conversations = ConversationQueue(store, finished, answers)
        self.cursors = CursorQueue(store, answers)
        self.receipts = ReceiptQueue(appender, self.cursors, finished, answers)
        self.user_state = UserStateQueue(store, cache, answers, clock)
        self.wakeups = WakeupQueue(appender, finished)
        self.queues: tuple[WriteQueue, ...] = (
            self.entries,
            self.stubs,
            self.conversations,
            self.receipts,
            self.cursors,
            self.user_state,
            self.wakeups,
        )
        self._loops = BackgroundTasks()

    def start(self) -> None:
        """Start the queues' loops."""
        for queue in self.queues:
            self._loops.spawn(queue.run(), f"writer-{queue.name}", essential=True)

    async def stop(self) -> list[str]:
        """Write what waits, bounded to five seconds, then stop; returns what was given up."""
        self.hurry()
        given_up: list[str] = []
        try:
            async with asyncio.timeout(_STOP_S):
                while self.waiting:  # noqa: ASYNC110 - many queues, none of which tells when it is empty
                    await asyncio.sleep(0.01)
        except TimeoutError:
            left = {queue.name: queue.waiting for queue in self.queues if queue.waiting}
            log.warning("writer_stopped_with_work", **left)
            listed = ", ".join(f"{name} {count}" for name, count in left.items())
            given_up.append(f"had {sum(left.values())} writes waiting when it was stopped ({listed}).")
        await self._loops.cancel()
        return given_up

    @property
    def waiting(self) -> int:
        """How many writes are queued or in flight."""
        return sum(queue.waiting for queue in self.queues)

    def hurry(self) -> None:
        """Collect no longer: write now what waits."""
        for queue in self.queues:
            queue.hurry()

    def pending(self, users: Collection[str]) -> dict[str, Pending]:
        """Return what of these users has not reached the store yet."""
        found = {user: Pending() for user in users}
        for unwritten in (self.cursors.unwritten(), self.receipts.unwritten_cursors()):
            for (user, device), seq in unwritten:
                if user in found:
                    cursors = found[user].cursors
                    cursors[device] = max(seq, cursors.get(device, 0))
        for row in self.conversations.unwritten():
            if row.user in found:
                found[row.user].rows.append(row)
        for block in self.user_state.unwritten():
            if block.user in found:
                found[block.user].blocks.append(block)
        return found

    def users_of_records(self) -> set[str]:
        """Return the users of whom something that a record brought has not reached the store."""
        return self.entries.users() | self.conversations.users()
