"""Records that cannot be handled: kept where people find them, before the log goes past them."""

from functools import partial

import structlog

from actors.host.runtime import Runtime
from actors.host.shards.shard import Shard
from actors.host.shards.tickets import Finished, Ticket
from actors.host.writes.writer import Stores
from actors.rpc import messages as msg
from roost.clock import Clock
from roost.tasks import insist
from storage.cluster_rows import DeadLetter
from storage.topics import MAILBOX, MAILBOX_DEAD
from telemetry import metrics

log = structlog.get_logger()


class DeadLetters:
    """Keeps dead letters in the store and in a topic of their own."""

    def __init__(self, stores: Stores, finished: Finished, clock: Clock, runtime: Runtime) -> None:
        self._store, self._log, self._finished = stores.store, stores.log, finished
        self._clock, self._runtime = clock, runtime

    def put(self, shard: Shard, offset: int, value: bytes, reason: str) -> None:
        """Keep the record at this offset, and count it as stored when that is done."""
        log.error("poison_record", shard=shard.number, offset=offset, reason=reason)
        metrics.POISON_RECORDS.inc()
        letter = DeadLetter(MAILBOX, shard.number, offset, reason, value, self._clock())
        self._runtime.spawn(self._keep(letter, Ticket(shard.offsets, offset)))

    def drop(self, shard: Shard, offset: int) -> None:
        """Count the record at this offset as stored, and keep nothing: its user was erased."""
        self._finished([Ticket(shard.offsets, offset)])

    async def _keep(self, letter: DeadLetter, ticket: Ticket) -> None:
        for call in (partial(self._store.cluster.keep_dead_letters, [letter]), partial(self._append, letter)):
            await insist(call, "dead_letter_postponed", sleep=self._runtime.sleep)
        self._finished([ticket])

    async def _append(self, letter: DeadLetter) -> None:
        [result] = await self._log.append(MAILBOX_DEAD, [(0, msg.encode(letter))])
        if isinstance(result, Exception):
            raise result
