"""The queues of receipts and cursors: a cursor is stored once the receipts that it caused are in the log."""

from collections.abc import Iterator

from msgspec import Struct, structs

from actors.host.shards.tickets import Finished, Ticket
from actors.host.writes.appender import Appender
from actors.host.writes.entries import EntryQueue
from actors.host.writes.queue import Answers, Pair, WriteQueue
from storage.mailbox_rows import Cursor
from storage.ports import Store
from storage.records import ReceiptRecord, encode_record
from storage.topics import MAILBOX

COLLECT_S = 0.2
"""Receipts are collected this long: each append is a turn of the log, the router and the store."""

CURSORS_COLLECT_S = 10.0
"""Cursors that no question waits for are collected this long; losing one costs a repeated delivery."""


class _Receipt(Struct):
    record: ReceiptRecord
    tickets: list[Ticket]
    tokens: list[object]


class Mark(Struct):
    """A device's cursor, and who waits for it to be durable."""

    seq: int
    tokens: list[object]

    def raise_to(self, other: "Mark") -> None:
        """Take the other's seq if it is higher, and its tokens."""
        self.seq = max(self.seq, other.seq)
        self.tokens += other.tokens


Marks = dict[Pair, Mark]


class CursorQueue(WriteQueue):
    """Stores cursors whose receipts are in the log."""

    def __init__(self, store: Store, answers: Answers) -> None:
        super().__init__("cursors", CURSORS_COLLECT_S)
        self._store, self._answers = store, answers
        self._marks: Marks = {}
        self._in_flight: Marks = {}

    @property
    def waiting(self) -> int:
        """How many are to be stored."""
        return len(self._marks) + len(self._in_flight)

    def add(self, marks: Marks) -> None:
        """Store these cursors, each unless a higher one waits."""
        for key, mark in marks.items():
            self._marks.setdefault(key, Mark(mark.seq, [])).raise_to(mark)
            if mark.tokens:
                self.hurry()
        if self._marks:
            self._added.set()

    def unwritten(self) -> Iterator[tuple[Pair, int]]:
        """Yield the cursors that are not stored, by user and device."""
        for marks in (self._in_flight, self._marks):
            for key, mark in marks.items():
                yield key, mark.seq

    async def write(self) -> None:
        """Store all."""
        marks, self._marks = self._marks, {}
        if not marks:
            return
        self._in_flight = marks
        try:
            cursors = [Cursor(user, device, mark.seq) for (user, device), mark in marks.items()]
            await self._store.mailboxes.put_cursors(cursors)
        except Exception:
            self.add(marks)
            raise
        finally:
            self._in_flight = {}
        self._answers.durable(token for mark in marks.values() for token in mark.tokens)


class ReceiptQueue(WriteQueue):
    """Appends receipts to the log, and passes on the cursors that were queued before them or with them.

    Args:
        appender: The log.
        cursor_queue: Takes the cursors.
        finished: Hears of the records whose receipts are in the log.
        answers: Questions that wait for receipts.
    """

    def __init__(
        self, appender: Appender, cursor_queue: CursorQueue, finished: Finished, answers: Answers
    ) -> None:
        super().__init__("receipts", COLLECT_S)
        self._appender, self._cursor_queue = appender, cursor_queue
        self._finished, self._answers = finished, answers
        self._receipts: dict[Pair, _Receipt] = {}
        self._marks: Marks = {}
        self._in_flight: dict[Pair, _Receipt] = {}
        self._marks_in_flight: Marks = {}

    @property
    def waiting(self) -> int:
        """How many receipts, and cursors that wait for them, are not in the log."""
        marks = len(self._marks) + len(self._marks_in_flight)
        return len(self._receipts) + len(self._in_flight) + marks

    def add(self, record: ReceiptRecord, ticket: Ticket | None, token: object = None) -> None:
        """Append the receipt, merged with one that waits for the same pair."""
        if token is not None:
            self._answers.owe(token)
        self._put(record, ticket, token)

    def add_behind(
        self, entries: EntryQueue, record: ReceiptRecord, ticket: Ticket | None, token: object = None
    ) -> None:
        """Append the receipt once the entries that are queued by now are stored: not before is it true."""
        if token is not None:
            self._answers.owe(token)
            entries.hurry()
        entries.then(lambda: self._put(record, ticket, token))

    def _put(self, record: ReceiptRecord, ticket: Ticket | None, token: object) -> None:
        waiting = self._receipts.setdefault((record.to, record.peer), _Receipt(record, [], []))
        waiting.record = structs.replace(
            record,
            delivered_seq=max(record.delivered_seq, waiting.record.delivered_seq),
            read_seq=max(record.read_seq, waiting.record.read_seq),
        )
        if ticket is not None:
            waiting.tickets.append(ticket)
        if token is not None:
            waiting.tokens.append(token)
            self.hurry()
        self._added.set()

    def add_cursor(self, user: str, device: str, seq: int, token: object) -> None:
        """Raise the cursor, after the receipts queued so far."""
        mark = self._marks.setdefault((user, device), Mark(seq, []))
        mark.seq = max(mark.seq, seq)
        if token is not None:
            mark.tokens.append(token)
            self.hurry()
        self._added.set()

    def unwritten_cursors(self) -> Iterator[tuple[Pair, int]]:
        """Yield the cursors that wait for receipts, by user and device."""
        for marks in (self._marks_in_flight, self._marks):
            for key, mark in marks.items():
                yield key, mark.seq

    async def write(self) -> None:
        """Append the receipts that are here now; pass on the cursors."""
        self._in_flight, self._receipts = self._receipts, {}
        self._marks_in_flight, self._marks = self._marks, {}
        try:
            if self._in_flight:
                items = [(w.record.to, encode_record(w.record)) for w in self._in_flight.values()]
                await self._appender.append(MAILBOX, items)
        except Exception:
            self._put_back()
            raise
        else:
            self._cursor_queue.add(self._marks_in_flight)
            self._finished([ticket for each in self._in_flight.values() for ticket in each.tickets])
            self._answers.durable(token for each in self._in_flight.values() for token in each.tokens)
        finally:
            self._in_flight, self._marks_in_flight = {}, {}

    def _put_back(self) -> None:
        for key, receipt in self._in_flight.items():
            self.add(receipt.record, None)
            self._receipts[key].tickets += receipt.tickets
            self._receipts[key].tokens += receipt.tokens
        for key, mark in self._marks_in_flight.items():
            self._marks.setdefault(key, Mark(mark.seq, [])).raise_to(mark)
