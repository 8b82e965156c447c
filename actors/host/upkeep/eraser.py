"""Erasure of accounts, by the host that has the user's shard.

Each account has a row in the store, which says how far it is. Every step may be done again: whichever host
finds the row, after a crash or a move of the shard, goes on with it.

    asked --- due ---> erasing: devices announced as removed, all that is stored deleted, actor let go
                          |  once more after a while: what was on its way to the stores has come by then
                       erased: the id and a digest of the username are kept, for as long as the setting says
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from msgspec import Struct

from actors.host.runtime import Runtime
from actors.host.shards.table import ShardTable
from actors.host.writes.writer import Stores
from roost.clock import Clock
from roost.errors import RoostError
from roost.ids import shard_of, uuid7
from storage.account_rows import Erasure
from storage.records import KeysRecord, encode_record
from storage.topics import MAILBOX

log = structlog.get_logger()

_SENDERS: Final = 1_000
_BATCH: Final = 500

Holder = Callable[[str], Awaitable[object]]
"""Erases what one more place has of a user, by user id. Idempotent; called again after a `RoostError`."""


class ErasureSettings(Struct, frozen=True):
    """What an operator may set.

    Attributes:
        every_s: Seconds between looks for accounts that are due.
        settle_ms: So long after it was erased an account is looked through again.
        access_ms: So long access tokens outlive their sessions.
        reserved_ms: So long a username stays taken.
    """

    every_s: float = 5.0
    settle_ms: int = 20_000
    access_ms: int = 660_000
    reserved_ms: int = 90 * 24 * 3600 * 1000


class Eraser:
    """Erases the accounts whose shards are here.

    Args:
        stores: MongoDB, Redis and the log.
        shards: Which are here.
        let_go: Forgets a user's actor and closes its streams.
        clock: Unix milliseconds.
        runtime: Waits between looks.
        settings: The operator's.
        holders: What else has something of a user.
    """

    def __init__(
        self,
        stores: Stores,
        shards: ShardTable,
        let_go: Callable[[str], None],
        clock: Clock,
        runtime: Runtime,
        settings: ErasureSettings,
        holders: Sequence[Holder] = (),
    ) -> None:
        self._store, self._cache, self._log = stores
        self._shards, self._let_go = shards, let_go
        self._clock, self._runtime, self._settings = clock, runtime, settings
        self._holders = holders

    async def run(self) -> None:
        """Look from time to time. Does not return."""
        while True:
            await self._runtime.sleep(self._settings.every_s)
            await self.look()

    async def look(self) -> None:
        """Go on with every account that is due and here; what fails is tried again at the next look."""
        try:
            pending = await self._store.erasures.pending()
        except RoostError as exc:
            log.warning("erasures_not_read", reason=exc.detail)
            return
        for each in pending:
            if self._shards.of(each.user) is not None and self._is_due(each):
                try:
                    await self._erase(each)
                except RoostError as exc:
                    log.warning("erasure_postponed", user=each.user, reason=exc.detail)

    def _is_due(self, erasure: Erasure) -> bool:
        after_ms = self._settings.settle_ms if erasure.looked_at_ms else 0
        return max(erasure.due_at_ms, erasure.looked_at_ms + after_ms) <= self._clock()

    async def _erase(self, erasure: Erasure) -> None:
        user = erasure.user
        if not await self._store.erasures.begin(user, self._clock()):
            return  # the owner logged in meanwhile
        for family in await self._store.sessions.end(user, None, self._clock()):
            await self._cache.publish("revoked", family)
        devices = [each.device for each in (await self._store.accounts.devices_of([user])).get(user, [])]
        await self._announce(erasure, devices)
        self._let_go(user)
        for erase in self._holders:
            await erase(user)
        deleted = await self._store.erasures.erase(user, self._clock() + self._settings.access_ms)
        await self._cache.forget_user(user, devices)
        await self._cache.publish("directory", user)
        log.info("account_erased", user=user, documents=deleted, again=bool(erasure.looked_at_ms))
        if deleted or not erasure.looked_at_ms:
            await self._store.erasures.looked(user, self._clock())
        else:
            until_ms = self._clock() + self._settings.reserved_ms
            await self._store.erasures.finish(user, until_ms)

    async def _announce(self, erasure: Erasure, devices: Sequence[str]) -> None:
        """Tell everyone who wrote to the user that its devices are gone; some may be told twice."""
        if not devices:
            return
        user, now = erasure.user, self._clock()
        rows = await self._store.conversations.of_user(user)
        senders = await self._store.mailboxes.summary(user, _SENDERS)
        receivers = sorted(({row.peer for row in rows if row.heard} | senders.keys()) - {user})
        records: list[tuple[int, bytes]] = []
        for device in devices:
            cause = uuid7(now, secrets.token_bytes(10))
            for to in receivers:
                record = KeysRecord(
                    to, cause, user, erasure.username, device, "removed", now, self._shards.records
                )
                records.append((shard_of(to, self._shards.count), encode_record(record)))
        for first in range(0, len(records), _BATCH):
            for answer in await self._log.append(MAILBOX, records[first : first + _BATCH]):
                if isinstance(answer, Exception):
                    raise answer
