"""The queue of wake-ups, which pushers read."""

from actors.host.shards.tickets import Finished, Ticket
from actors.host.writes.appender import Appender
from actors.host.writes.queue import WriteQueue
from storage.records import PushRecord, encode_push
from storage.topics import PUSH

_AT_ONCE = 1000


class WakeupQueue(WriteQueue):
    """Appends wake-ups to the push topic."""

    def __init__(self, appender: Appender, finished: Finished) -> None:
        super().__init__("wakeups")
        self._appender, self._finished = appender, finished
        self._pushes: list[tuple[PushRecord, Ticket | None]] = []

    @property
    def waiting(self) -> int:
        """How many are to be appended."""
        return len(self._pushes)

    def add(self, push: PushRecord, ticket: Ticket | None) -> None:
        """Append the wake-up."""
        self._pushes.append((push, ticket))
        self._added.set()

    async def write(self) -> None:
        """Append all, some at a time."""
        while self._pushes:
            batch = self._pushes[:_AT_ONCE]
            await self._appender.append(PUSH, [(push.user, encode_push(push)) for push, _ in batch])
            del self._pushes[: len(batch)]
            self._finished([ticket for _, ticket in batch if ticket is not None])
