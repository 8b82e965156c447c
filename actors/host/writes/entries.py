"""The queue of entries that are to be stored."""

from collections import deque
from collections.abc import Callable

from actors.host.shards.tickets import Finished, Ticket
from actors.host.writes.queue import WriteQueue
from storage.mailbox_rows import MailboxDocument
from storage.ports import Store
from telemetry import metrics, traces

ENTRIES_AT_ONCE = 10_000
BYTES_AT_ONCE = 16 * 1024 * 1024
"""Bounds of one write."""


class EntryQueue(WriteQueue):
    """Inserts mailbox documents.

    Args:
        store: MongoDB.
        finished: Hears of the records that are stored.
        linger_s: Nothing but the commit waits for it: entries are delivered before they are stored.
    """

    def __init__(self, store: Store, finished: Finished, linger_s: float) -> None:
        super().__init__("documents", linger_s)
        self._store, self._finished = store, finished
        self._entries: list[tuple[MailboxDocument, Ticket]] = []
        self._stored = 0
        self._behind: deque[tuple[int, Callable[[], None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many are to be stored."""
        return len(self._entries)

    def add(self, document: MailboxDocument, ticket: Ticket) -> None:
        """Insert the document."""
        self._entries.append((document, ticket))
        if traces.tracer is not None:
            traces.tracer.begin(traces.STORE, (document.user, document.seq))
        self._added.set()

    def then(self, call: Callable[[], None]) -> None:
        """Call when all that is queued now is stored."""
        if self._entries:
            self._behind.append((self._stored + len(self._entries), call))
        else:
            call()

    def users(self) -> set[str]:
        """Return the users with an entry that is not stored."""
        return {document.user for document, _ in self._entries}

    async def write(self) -> None:
        """Insert what is there now, in writes of bounded size."""
        left = len(self._entries)
        while left > 0:
            batch = self._first(left)
            if expiring := [document for document, _ in batch if document.expires_at_ms]:
                await self._store.retention.note(expiring)
            with metrics.STORE_WRITE_SECONDS.time():
                await self._store.mailboxes.insert([document for document, _ in batch])
            metrics.STORE_BATCH_DOCUMENTS.observe(len(batch))
            if traces.tracer is not None:
                for each, _ in batch:
                    key, users = (each.user, each.seq), (each.user, each.sender)
                    traces.tracer.end(traces.STORE, key, each.cause, users, documents=len(batch))
            del self._entries[: len(batch)]
            left -= len(batch)
            self._stored += len(batch)
            self._finished([ticket for _, ticket in batch])
            while self._behind and self._behind[0][0] <= self._stored:
                self._behind.popleft()[1]()
        if self._entries:
            self._added.set()

    def _first(self, most: int) -> list[tuple[MailboxDocument, Ticket]]:
        """Return what one write may hold, at least one entry."""
        size, batch = 0, self._entries[: min(most, ENTRIES_AT_ONCE)]
        for number, (document, _) in enumerate(batch):
            size += len(document.record)
            if number and size > BYTES_AT_ONCE:
                return batch[:number]
        return batch
