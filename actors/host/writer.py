"""Performs durable effects in batches: each kind of write has one loop that takes all that waits.

Every write here is idempotent, so a write whose fate is unknown is simply done again.
Long, because each of the six kinds has its queue and its loop here.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import structlog
from msgspec import Struct, field, structs

from actors.host.offsets import Offsets
from actors.user import effects as do
from roost.clock import Clock
from roost.errors import Unavailable
from roost.ids import shard_of
from storage.ports import Cache, LogWriter, Store
from storage.records import (
    Block,
    Conversation,
    Cursor,
    MailboxDocument,
    PushRecord,
    ReceiptRecord,
    encode_push,
    encode_record,
)
from storage.topics import MAILBOX, PUSH
from telemetry import metrics, traces

log = structlog.get_logger()

ROWS_EVERY_S = 1.0
"""Conversation rows are collected this long, so that many receipts of a pair are one write."""

CURSORS_EVERY_S = 10.0
"""Cursors nobody waits for are collected this long; losing one costs a repeated delivery."""

ENTRIES_AT_ONCE = 10_000
BYTES_AT_ONCE = 16 * 1024 * 1024
"""Bounds of one write of entries."""

RECEIPTS_EVERY_S = 0.2
"""Receipts are collected this long: each append is a turn of the log, the router and the store."""

_LOOPS = ("documents", "rows", "wakes", "receipts", "cursors", "rest")


class Ticket(Struct, frozen=True):
    """One piece of durable work of one record."""

    offsets: Offsets
    offset: int


Finished = Callable[[Sequence[Ticket]], None]
Answered = Callable[[object], None]


class _Row(Struct):
    row: Conversation
    tickets: list[Ticket]
    tokens: list[object]


class _Receipt(Struct):
    record: ReceiptRecord
    tickets: list[Ticket]
    tokens: list[object]


class _Mark(Struct):
    seq: int
    tokens: list[object]


class _Floor(Struct):
    seq: int
    tickets: list[Ticket]


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
        store: MongoDB.
        cache: Redis.
        log_writer: The log.
        finished: Called with the tickets of every write that is durable.
        answered: Called with a token when what it waited for is durable.
        clock: Unix milliseconds.
        linger_s: Entries are collected this long, in seconds. Nothing but the commit waits for it: they are
            delivered before they are stored.

    Attributes:
        shards: Number of shards.
        records: The version of records to write: every role reads it.
        appended: Receipts appended so far.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        log_writer: LogWriter,
        finished: Finished,
        answered: Answered,
        clock: Clock,
        linger_s: float = 0.0,
    ) -> None:
        self._store, self._cache, self._log, self._clock = store, cache, log_writer, clock
        self._linger_s = linger_s
        self._finished, self._answered = finished, answered
        self.shards = 1
        self.records = 1
        self._documents: list[tuple[MailboxDocument, Ticket]] = []
        self._rows: dict[tuple[str, str], _Row] = {}
        self._rows_out: dict[tuple[str, str], _Row] = {}
        self._floors: dict[tuple[str, str], _Floor] = {}
        self._wakes: list[tuple[PushRecord, Ticket | None]] = []
        self._receipts: dict[tuple[str, str], _Receipt] = {}
        self._cursors: dict[tuple[str, str], _Mark] = {}
        self._cursors_out: dict[tuple[str, str], _Mark] = {}
        self._settled: dict[tuple[str, str], _Mark] = {}
        self._settled_out: dict[tuple[str, str], _Mark] = {}
        self._blocks: list[do.PutBlock] = []
        self._owed: dict[object, int] = {}
        self._presence: dict[str, tuple[bool, int]] = {}
        self._came: set[str] = set()
        self._signals = {
            name: asyncio.Event() for name in ("documents", "rows", "wakes", "receipts", "cursors", "rest")
        }
        self._hurry = {name: asyncio.Event() for name in ("documents", "rows", "receipts", "cursors")}
        self._tasks: list[asyncio.Task[None]] = []
        self.appended = 0

    def start(self) -> None:
        """Start the loops."""
        for name in _LOOPS:
            body: Callable[[], Awaitable[None]] = getattr(self, f"_write_{name}")
            self._tasks.append(asyncio.create_task(self._loop(name, body), name=f"writer-{name}"))

    async def stop(self) -> list[str]:
        """Write what waits, bounded to five seconds, then stop; returns what was given up."""
        self.hurry()
        given_up: list[str] = []
        try:
            async with asyncio.timeout(5):
                while self.waiting:  # noqa: ASYNC110 - six queues, none of which tells when it is empty
                    await asyncio.sleep(0.01)
        except TimeoutError:
            queues = {name: count for name, count in self.queues().items() if count}
            log.warning("writer_stopped_with_work", **queues)
            listed = ", ".join(f"{name} {count}" for name, count in queues.items())
            given_up.append(f"had {sum(queues.values())} writes waiting when it was stopped ({listed}).")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return given_up

    @property
    def waiting(self) -> int:
        """How many writes are queued or under way."""
        return sum(self.queues().values())

    def queues(self) -> dict[str, int]:
        """Return the same by kind of write."""
        return {
            "documents": len(self._documents),
            "rows": len(self._rows) + len(self._rows_out) + len(self._floors),
            "wakeups": len(self._wakes),
            "receipts": len(self._receipts),
            "cursors": len(self._cursors) + len(self._settled),
            "rest": len(self._blocks) + len(self._presence) + len(self._came),
        }

    def hurry(self) -> None:
        """Collect no longer: write now what waits."""
        for hurry in self._hurry.values():
            hurry.set()

    # --- queueing ---------------------------------------------------------------------------------

    def document(self, document: MailboxDocument, ticket: Ticket) -> None:
        """Insert the document."""
        self._documents.append((document, ticket))
        if traces.tracer is not None:
            traces.tracer.begin(traces.STORE, (document.user, document.seq))
        self._signals["documents"].set()

    def row(self, row: Conversation, ticket: Ticket | None, token: object) -> None:
        """Write the newest version of a row."""
        waiting = self._rows.setdefault((row.user, row.peer), _Row(row, [], []))
        waiting.row = row
        if ticket is not None:
            waiting.tickets.append(ticket)
        if token is not None:
            self._owe(waiting.tokens, token)
            self._hurry["rows"].set()
        self._signals["rows"].set()

    def floor(self, user: str, device: str, seq: int, ticket: Ticket | None) -> None:
        """Raise the device's floor."""
        waiting = self._floors.setdefault((user, device), _Floor(seq, []))
        waiting.seq = max(waiting.seq, seq)
        if ticket is not None:
            waiting.tickets.append(ticket)
        self._signals["rows"].set()

    def pending(self, users: Collection[str]) -> dict[str, Pending]:
        """Return what of these users has not reached the store yet."""
        found = {user: Pending() for user in users}
        for marks in (self._settled_out, self._settled, self._cursors_out, self._cursors):
            for (user, device), mark in marks.items():
                if user in found:
                    cursors = found[user].cursors
                    cursors[device] = max(mark.seq, cursors.get(device, 0))
        for rows in (self._rows_out, self._rows):
            for (user, _), waiting in rows.items():
                if user in found:
                    found[user].rows.append(waiting.row)
        for effect in self._blocks:
            if effect.block.user in found:
                found[effect.block.user].blocks.append(effect.block)
        return found

    def entries_of(self) -> set[str]:
        """Return the users of whom something that a record brought has not reached the store."""
        rows = (each for rows in (self._rows_out, self._rows) for each in rows.items())
        return (
            {document.user for document, _ in self._documents}
            | {user for (user, _), waiting in rows if waiting.tickets}
            | {user for (user, _), waiting in self._floors.items() if waiting.tickets}
        )

    def wake(self, push: PushRecord, ticket: Ticket | None) -> None:
        """Append the wake-up to the push topic."""
        self._wakes.append((push, ticket))
        self._signals["wakes"].set()

    def receipt(self, receipt: ReceiptRecord, ticket: Ticket | None, token: object = None) -> None:
        """Append the receipt, merged with one that waits for the same pair."""
        waiting = self._receipts.setdefault((receipt.to, receipt.peer), _Receipt(receipt, [], []))
        waiting.record = structs.replace(
            receipt,
            delivered_seq=max(receipt.delivered_seq, waiting.record.delivered_seq),
            read_seq=max(receipt.read_seq, waiting.record.read_seq),
        )
        if ticket is not None:
            waiting.tickets.append(ticket)
        if token is not None:
            self._owe(waiting.tokens, token)
            self._hurry["receipts"].set()
        self._signals["receipts"].set()

    def cursor(self, user: str, device: str, seq: int, token: object) -> None:
        """Raise the cursor, after the receipts queued so far."""
        mark = self._cursors.setdefault((user, device), _Mark(seq, []))
        mark.seq = max(mark.seq, seq)
        if token is not None:
            mark.tokens.append(token)
            self._hurry["receipts"].set()
        self._signals["receipts"].set()

    def block(self, effect: do.PutBlock) -> None:
        """Write the block and answer."""
        self._blocks.append(effect)
        self._signals["rest"].set()

    def presence(self, user: str, *, online: bool, at_ms: int) -> None:
        """Record the newest presence."""
        self._presence[user] = (online, at_ms)
        self._signals["rest"].set()

    def came(self, device: str) -> None:
        """Clear the device's pending wake-up."""
        self._came.add(device)
        self._signals["rest"].set()

    # --- loops ------------------------------------------------------------------------------------

    async def _loop(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        signal, pause = self._signals[name], 0.05
        while True:
            await signal.wait()
            signal.clear()
            try:
                await body()
                pause = 0.05
            except Exception as exc:  # noqa: BLE001 - a write loop that ended would lose what it was given
                log.warning("write_postponed", queue=name, reason=str(exc), kind=type(exc).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
                signal.set()

    async def _write_documents(self) -> None:
        await self._collect("documents", self._linger_s)
        left = len(self._documents)
        while left > 0:
            batch = self._first_entries(left)
            with metrics.STORE_WRITE_SECONDS.time():
                await self._store.mailboxes.insert([document for document, _ in batch])
            metrics.STORE_BATCH_DOCUMENTS.observe(len(batch))
            if traces.tracer is not None:
                for each, _ in batch:
                    traces.tracer.end(traces.STORE, (each.user, each.seq), each.cause, documents=len(batch))
            del self._documents[: len(batch)]
            left -= len(batch)
            self._finished([ticket for _, ticket in batch])
        if self._documents:
            self._signals["documents"].set()

    def _first_entries(self, most: int) -> list[tuple[MailboxDocument, Ticket]]:
        """Return what one write may hold, at least one entry."""
        size, batch = 0, self._documents[: min(most, ENTRIES_AT_ONCE)]
        for number, (document, _) in enumerate(batch):
            size += len(document.record)
            if number and size > BYTES_AT_ONCE:
                return batch[:number]
        return batch

    async def _write_rows(self) -> None:
        await self._collect("rows", ROWS_EVERY_S)
        await self._write_floors()
        if not self._rows_out:  # else the last write failed: the same rows again
            self._rows_out, self._rows = self._rows, {}
        await self._store.conversations.put([waiting.row for waiting in self._rows_out.values()])
        written, self._rows_out = self._rows_out, {}
        self._finished([ticket for waiting in written.values() for ticket in waiting.tickets])
        self._answer(token for waiting in written.values() for token in waiting.tokens)
        if self._rows:
            self._signals["rows"].set()

    async def _write_floors(self) -> None:
        if not self._floors:
            return
        written = {key: structs.replace(waiting) for key, waiting in self._floors.items()}
        await self._store.accounts.raise_floors({key: waiting.seq for key, waiting in written.items()})
        for key, waiting in written.items():
            if self._floors[key].seq == waiting.seq:
                del self._floors[key]
                self._finished(waiting.tickets)

    async def _collect(self, name: str, seconds: float) -> None:
        hurry = self._hurry[name]
        if seconds:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await hurry.wait()
        hurry.clear()

    async def _write_wakes(self) -> None:
        while self._wakes:
            batch = self._wakes[:1000]
            items = [(shard_of(push.user, self.shards), encode_push(push)) for push, _ in batch]
            self._raise_first(await self._log.append(PUSH, items))
            del self._wakes[: len(batch)]
            self._finished([ticket for _, ticket in batch if ticket is not None])

    async def _write_receipts(self) -> None:
        await self._collect("receipts", RECEIPTS_EVERY_S)
        receipts, self._receipts = self._receipts, {}
        cursors, self._cursors = self._cursors, {}
        self._cursors_out = cursors
        if receipts:
            records = [waiting.record for waiting in receipts.values()]
            items = [(shard_of(record.to, self.shards), encode_record(record)) for record in records]
            try:
                self._raise_first(await self._log.append(MAILBOX, items))
            except Unavailable:
                self._put_back(receipts, cursors)
                self._cursors_out = {}
                raise
            self.appended += len(items)
            self._finished([ticket for waiting in receipts.values() for ticket in waiting.tickets])
            self._answer(token for waiting in receipts.values() for token in waiting.tokens)
        for key, mark in cursors.items():
            self._settle(key, mark)
        self._cursors_out = {}
        if self._settled:
            self._signals["cursors"].set()

    def _settle(self, key: tuple[str, str], mark: _Mark) -> None:
        settled = self._settled.setdefault(key, _Mark(mark.seq, []))
        settled.seq = max(settled.seq, mark.seq)
        settled.tokens.extend(mark.tokens)
        if mark.tokens:
            self._hurry["cursors"].set()

    def _put_back(
        self, receipts: dict[tuple[str, str], _Receipt], cursors: dict[tuple[str, str], _Mark]
    ) -> None:
        for key, receipt in receipts.items():
            self.receipt(receipt.record, None)
            self._receipts[key].tickets.extend(receipt.tickets)
            self._receipts[key].tokens.extend(receipt.tokens)
        for (user, device), mark in cursors.items():
            self.cursor(user, device, mark.seq, None)
            self._cursors[user, device].tokens.extend(mark.tokens)

    async def _write_rest(self) -> None:
        await self._write_blocks()
        came, self._came = self._came, set()
        presence, self._presence = self._presence, {}
        seen = {user: at_ms for user, (online, at_ms) in presence.items() if not online}
        try:
            if came:
                for since_ms in await self._cache.clear_wakeups(sorted(came)):
                    metrics.FETCHED_SECONDS.observe(max(0, self._clock() - since_ms) / 1000)
            if presence:
                await self._cache.put_presence(presence)
        except Unavailable as exc:
            # Redis holds nothing that is not elsewhere: a pending wake-up ends with its TTL.
            log.warning("cache_write_dropped", reason=exc.detail)
        if seen:
            await self._store.accounts.touch_users(seen)

    async def _write_blocks(self) -> None:
        while self._blocks:
            effect = self._blocks[0]
            await self._store.accounts.set_block(effect.block)
            self._blocks.pop(0)
            self._answer([effect.token])

    async def _write_cursors(self) -> None:
        await self._collect("cursors", CURSORS_EVERY_S)
        settled, self._settled = self._settled, {}
        if not settled:
            return
        self._settled_out = settled
        try:
            await self._store.mailboxes.put_cursors(
                [Cursor(u, d, mark.seq) for (u, d), mark in settled.items()]
            )
        except Unavailable:
            for key, mark in settled.items():
                self._settle(key, mark)
            raise
        finally:
            self._settled_out = {}
        self._answer(token for mark in settled.values() for token in mark.tokens)

    def _owe(self, tokens: list[object], token: object) -> None:
        tokens.append(token)
        self._owed[token] = self._owed.get(token, 0) + 1

    def _answer(self, tokens: Iterable[object]) -> None:
        """A write of each is durable: answer those that wait for no other."""
        for token in tokens:
            left = self._owed.pop(token, 1) - 1
            if left:
                self._owed[token] = left
            else:
                self._answered(token)

    @staticmethod
    def _raise_first(results: Sequence[int | Exception]) -> None:
        for result in results:
            if isinstance(result, Exception):
                raise result
