"""Appends to the log: each record to the shard of its user."""

from collections.abc import Sequence

from actors.host.shards.table import ShardTable
from roost.ids import shard_of
from storage.ports import LogWriter


class Appender:
    """The log, as the queues write to it."""

    def __init__(self, log_writer: LogWriter, shards: ShardTable) -> None:
        self._log, self._shards = log_writer, shards

    async def append(self, topic: str, records: Sequence[tuple[str, bytes]]) -> None:
        """Append records, given with the user whose shard each belongs to.

        Raises:
            Unavailable: Not all are known to be in the log.
        """
        count = self._shards.count
        for result in await self._log.append(
            topic, [(shard_of(user, count), value) for user, value in records]
        ):
            if isinstance(result, Exception):
                raise result
