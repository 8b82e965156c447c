"""The queue of stubs: what is kept of messages that went nowhere."""

from actors.host.shards.tickets import Finished, Ticket
from actors.host.writes.queue import WriteQueue
from storage.mailbox_rows import Stub
from storage.ports import Store


class StubQueue(WriteQueue):
    """Inserts stubs.

    Args:
        store: MongoDB.
        finished: Hears of the records whose stubs are stored.
    """

    def __init__(self, store: Store, finished: Finished) -> None:
        super().__init__("stubs")
        self._store, self._finished = store, finished
        self._stubs: list[tuple[Stub, Ticket]] = []

    @property
    def waiting(self) -> int:
        """How many are to be stored."""
        return len(self._stubs)

    def add(self, stub: Stub, ticket: Ticket) -> None:
        """Insert the stub."""
        self._stubs.append((stub, ticket))
        self._added.set()

    async def write(self) -> None:
        """Insert what is there now."""
        batch = self._stubs[:]
        await self._store.mailboxes.put_stubs([stub for stub, _ in batch])
        del self._stubs[: len(batch)]
        self._finished([ticket for _, ticket in batch])
        if self._stubs:
            self._added.set()
