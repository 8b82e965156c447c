"""Announcements of changed keys, to everyone who has written to their owner.

Who was only written to is not told: a stranger would fill the mailboxes of all that never answered.
"""

import asyncio
import secrets
from collections.abc import Sequence
from itertools import islice
from typing import Literal, Protocol

import msgspec
import structlog
from msgspec import Struct

from api.identity.cache_invalidation import CacheInvalidation
from roost.clock import Clock
from roost.errors import Unavailable
from roost.ids import uuid7
from roost.tasks import BackgroundTasks, backoff
from storage.ports import Store
from storage.records import KeysRecord, encode_record

_BATCH = 500
_TRIES = 60
_PAUSE_MAX_S = 10.0
_ROWS_S = 2.5
"""Hosts write the row of a new conversation within a second or so."""

_SENDERS = 1_000
_LAST_S = 2.0

log = structlog.get_logger(__name__)

Change = Literal["added", "removed", "changed"]


class Mailboxes(Protocol):
    """Takes records for mailboxes: the gateway's way into the log.

    Attributes:
        records: Version of records that every reader knows.
    """

    records: int

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[int | Unavailable]:
        """Append ``(user, record)`` each; return each one's seq or why there is none."""
        ...


class _Announcement(Struct):
    """A change, and who was told of it."""

    user: str
    username: str
    device: str
    change: Change
    cause: str
    told: set[str] = msgspec.field(default_factory=set)

    def record(self, to: str, now_ms: int, version: int) -> bytes:
        """Return the record for one mailbox."""
        return encode_record(
            KeysRecord(to, self.cause, self.user, self.username, self.device, self.change, now_ms, version)
        )


class KeyAnnouncements:
    """Announces changed keys until everyone concerned was told.

    Attributes:
        lost: Announcements that were given up.
    """

    def __init__(
        self, store: Store, mailboxes: Mailboxes, invalidation: CacheInvalidation, clock: Clock
    ) -> None:
        self._store = store
        self._mailboxes = mailboxes
        self._invalidation = invalidation
        self._clock = clock
        self._tasks = BackgroundTasks()
        self._open: dict[str, _Announcement] = {}
        self.lost = 0

    async def announce(self, user: str, username: str, device: str, change: Change) -> None:
        """Announce a change of a device's keys, to all gateways and to those who wrote to the user."""
        await self._invalidation.user_changed(user)
        cause = uuid7(self._clock(), secrets.token_bytes(10))
        announcement = _Announcement(user, username, device, change, cause)
        self._open[cause] = announcement
        await self._tell(announcement)
        self._tasks.spawn(self._tell_late(announcement), "key announcement")

    async def close(self) -> None:
        """Say what is still to be said, once, and give up the rest."""
        await self._tasks.cancel()
        try:
            async with asyncio.timeout(_LAST_S):
                await asyncio.gather(*(self._tell(each) for each in self._open.values()))
        except TimeoutError:
            log.warning("key_changes_unannounced_at_the_end", count=len(self._open))

    async def _tell(self, announcement: "_Announcement") -> bool:
        """Write one record for each receiver not told yet; False if some were not taken."""
        try:
            receivers = sorted(await self._receivers(announcement) - announcement.told)
        except Unavailable:
            return False
        now = self._clock()
        for start in range(0, len(receivers), _BATCH):
            some = receivers[start : start + _BATCH]
            records = [(to, announcement.record(to, now, self._mailboxes.records)) for to in some]
            seqs = await self._mailboxes.append(records)
            announcement.told |= {to for to, seq in zip(some, seqs, strict=True) if isinstance(seq, int)}
        return announcement.told.issuperset(receivers)

    async def _receivers(self, announcement: "_Announcement") -> set[str]:
        user = announcement.user
        rows, senders, devices = await asyncio.gather(
            self._store.conversations.of_user(user),
            self._store.mailboxes.summary(user, _SENDERS),
            self._store.accounts.devices_of([user], opened=False),
        )
        receivers = {row.peer for row in rows if row.heard} | senders.keys()
        if any(each.device != announcement.device for each in devices.get(user, [])):
            receivers.add(user)
        return receivers

    async def _tell_late(self, announcement: "_Announcement") -> None:
        """Tell those whose conversation was not stored yet, and those whose mailbox took nothing."""
        for pause in islice(backoff(_ROWS_S, _PAUSE_MAX_S), _TRIES):
            await asyncio.sleep(pause)
            if await self._tell(announcement):
                del self._open[announcement.cause]
                return
        self.lost += 1
        del self._open[announcement.cause]
        log.error("key_change_not_announced", user=announcement.user, device=announcement.device)
