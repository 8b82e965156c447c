"""The queue of conversation rows, and of floors of devices."""

from collections.abc import Iterator

from msgspec import Struct, structs

from actors.host.shards.tickets import Finished, Ticket
from actors.host.writes.queue import Answers, Pair, WriteQueue
from storage.mailbox_rows import Conversation
from storage.ports import Store

COLLECT_S = 1.0
"""Collected this long, so that many receipts of a pair are one write."""


class _Row(Struct):
    row: Conversation
    tickets: list[Ticket]
    tokens: list[object]


class _Floor(Struct):
    seq: int
    tickets: list[Ticket]


class ConversationQueue(WriteQueue):
    """Writes the newest version of each row, and raises floors."""

    def __init__(self, store: Store, finished: Finished, answers: Answers) -> None:
        super().__init__("rows", COLLECT_S)
        self._store, self._finished, self._answers = store, finished, answers
        self._rows: dict[Pair, _Row] = {}
        self._in_flight: dict[Pair, _Row] = {}
        self._floors: dict[Pair, _Floor] = {}

    @property
    def waiting(self) -> int:
        """How many rows and floors are to be written."""
        return len(self._rows) + len(self._in_flight) + len(self._floors)

    def put(self, row: Conversation, ticket: Ticket | None, token: object) -> None:
        """Write the row in place of an older version that waits."""
        waiting = self._rows.setdefault((row.user, row.peer), _Row(row, [], []))
        waiting.row = row
        if ticket is not None:
            waiting.tickets.append(ticket)
        if token is not None:
            waiting.tokens.append(token)
            self._answers.owe(token)
            self.hurry()
        self._added.set()

    def raise_floor(self, user: str, device: str, seq: int, ticket: Ticket | None) -> None:
        """Raise the device's floor."""
        waiting = self._floors.setdefault((user, device), _Floor(seq, []))
        waiting.seq = max(waiting.seq, seq)
        if ticket is not None:
            waiting.tickets.append(ticket)
        self._added.set()

    def unwritten(self) -> Iterator[Conversation]:
        """Yield the rows that are not durable, the newest of a pair last."""
        for rows in (self._in_flight, self._rows):
            for waiting in rows.values():
                yield waiting.row

    def users(self) -> set[str]:
        """Return the users of whom a record's row or floor is not written."""
        kinds = (self._in_flight, self._rows, self._floors)
        return {user for kind in kinds for (user, _), waiting in kind.items() if waiting.tickets}

    async def write(self) -> None:
        """Write floors and rows."""
        if self._floors:
            await self._write_floors()
        if not self._in_flight:  # else the last write failed: the same rows again
            self._in_flight, self._rows = self._rows, {}
        await self._store.conversations.put([waiting.row for waiting in self._in_flight.values()])
        written, self._in_flight = self._in_flight, {}
        self._finished([ticket for waiting in written.values() for ticket in waiting.tickets])
        self._answers.durable(token for waiting in written.values() for token in waiting.tokens)
        if self._rows:
            self._added.set()

    async def _write_floors(self) -> None:
        written = {key: structs.replace(waiting) for key, waiting in self._floors.items()}
        await self._store.accounts.raise_floors({key: waiting.seq for key, waiting in written.items()})
        for key, waiting in written.items():
            if self._floors[key].seq == waiting.seq:
                del self._floors[key]
                self._finished(waiting.tickets)
