"""The sweep: a host goes through the mailboxes of its shards, one at a time, and deletes what is too old.

Users who are not online are swept like all others: the walk is over the accounts, in the order of usernames.
Its position is stored, so that a host that is restarted often comes to the last of them, too. Entries whose
own time is over lose their content first, wherever they are: each has a row that says when.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import structlog
from msgspec import Struct

from actors.host.runtime import Runtime
from actors.host.shards.table import ShardTable
from actors.host.upkeep.sweep_rules import Keep, acknowledged, first_to_stay, may_be_old
from roost.clock import Clock
from roost.errors import RoostError
from roost.ids import MESSAGE_ID_AHEAD_MS, MESSAGE_ID_WINDOW_MS, SEQ_LIMIT
from storage.mailbox_rows import MailboxDocument, Stub
from storage.ports import Store
from telemetry import metrics

log = structlog.get_logger()

_USERS: Final = 100
"""Users read at once; the position is stored behind them."""

_ENTRIES: Final = 256
_EXPIRED: Final = 200
_LATE_MS: Final = 60_000
"""What its own host has not emptied so long after its time is emptied by any host."""


class SweepSettings(Struct, frozen=True):
    """What an operator may set.

    Attributes:
        keep: What is kept.
        pause_s: Seconds to wait behind each user.
        every_s: Seconds from the beginning of one walk to the next.
        expired_every_s: Seconds between looks for entries whose time is over.
    """

    keep: Keep = Keep()
    pause_s: float = 0.05
    every_s: float = 3_600.0
    expired_every_s: float = 5.0


def _stubs(entries: Iterable[MailboxDocument], now_ms: int) -> Iterator[Stub]:
    """Yield what is to be kept of messages that may be sent again, for as long as their ids are good.

    Who is still to be told that one was accepted sends it again, or asks what became of it.
    """
    for entry in entries:
        if entry.kind == "m" and entry.at_ms + MESSAGE_ID_WINDOW_MS + MESSAGE_ID_AHEAD_MS > now_ms:
            yield Stub(
                entry.user, entry.sender, entry.sender_device, entry.cause, entry.seq, entry.at_ms, b"",
                swept=True,
            )  # fmt: skip


class Sweeper:
    """Sweeps the mailboxes whose shards are here.

    Args:
        name: The host's, by which its position is stored.
        store: Where mailboxes are.
        shards: Which are here.
        clock: Unix milliseconds.
        runtime: Waits.
        settings: The operator's.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        shards: ShardTable,
        clock: Clock,
        runtime: Runtime,
        settings: SweepSettings,
    ) -> None:
        self._name, self._store, self._shards = name, store, shards
        self._clock, self._runtime, self._settings = clock, runtime, settings

    async def run(self) -> None:
        """Walk from time to time. Does not return."""
        while True:
            began_ms = self._clock()
            try:
                await self.walk()
            except RoostError as exc:
                log.warning("sweep_postponed", reason=exc.detail)
            took_s = max(0, self._clock() - began_ms) / 1000
            await self._runtime.sleep(max(self._settings.pause_s, self._settings.every_s - took_s))

    async def run_expiry(self) -> None:
        """Empty what has expired, again and again. Does not return."""
        while True:
            await self._runtime.sleep(self._settings.expired_every_s)
            try:
                while await self.empty_expired():
                    await self._runtime.sleep(self._settings.pause_s)
            except RoostError as exc:
                log.warning("expiry_postponed", reason=exc.detail)

    async def walk(self) -> None:
        """Go through all users from where the last walk was, to the end."""
        after = await self._store.retention.position(self._name)
        while users := await self._store.retention.users_after(after, _USERS):
            for _, user in users:
                if self._shards.of(user) is not None:
                    await self.sweep(user)
                    await self._runtime.sleep(self._settings.pause_s)
            after = users[-1][0]
            await self._store.retention.put_position(self._name, after)
        await self._store.retention.put_position(self._name, "")

    async def sweep(self, user: str) -> None:
        """Delete what is too old in one mailbox."""
        mailboxes, now_ms, keep = self._store.mailboxes, self._clock(), self._settings.keep
        newest = await mailboxes.latest(user, SEQ_LIMIT, 1)
        entries = await mailboxes.range(user, 0, SEQ_LIMIT - 1, _ENTRIES) if newest else []
        if not entries or not may_be_old(entries[0], newest[0], keep, now_ms):
            return
        known = acknowledged(
            (await self._store.accounts.devices_of([user])).get(user, []),
            await self._store.sessions.of_user(user),
            (await mailboxes.cursors_of([user])).get(user, {}),
            keep,
            now_ms,
        )
        while entries:
            shard = self._shards.of(user)
            if shard is None:
                return  # the next owner goes on
            stays = min(first_to_stay(entries, newest[0], known, keep, now_ms), shard.stored_seq + 1)
            if stays > entries[0].seq:
                await mailboxes.put_stubs(list(_stubs([e for e in entries if e.seq < stays], now_ms)))
                await mailboxes.sweep(user, stays)
                metrics.SWEPT_ENTRIES.inc(sum(entry.seq < stays for entry in entries))
            if stays <= entries[-1].seq:
                return
            await self._runtime.sleep(self._settings.pause_s)
            entries = await mailboxes.range(user, entries[-1].seq, SEQ_LIMIT - 1, _ENTRIES)

    async def empty_expired(self) -> bool:
        """Empty some entries whose time is over; returns whether there may be more."""
        now_ms = self._clock()
        expired = await self._store.retention.expired(now_ms, _EXPIRED)
        mine = [
            each
            for each in expired
            if self._shards.of(each.user) is not None or each.expires_at_ms + _LATE_MS <= now_ms
        ]
        for each in mine:
            await self._store.retention.empty(each.user, each.seq)
        if mine:
            await self._store.retention.forget(mine)
            metrics.EXPIRED_ENTRIES.inc(len(mine))
        return len(mine) == _EXPIRED
