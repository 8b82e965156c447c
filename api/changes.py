"""Making changes of devices and keys known.

They go to every gateway, to the user's host, and into the mailboxes of everyone who has a
conversation with the user.
"""

import asyncio
import secrets
from typing import Literal

import structlog

from actors import messages as m
from api.directory import Directory
from api.hosts import HostLinks
from api.sequence import Sequencer
from roost.clock import Clock
from roost.errors import RoostError, Unavailable
from roost.ids import uuid7
from storage.ports import Cache, Store
from storage.records import KeysRecord, encode_record

_BATCH = 500
_TRIES = 60
_PAUSE_FIRST_S = 0.2
_PAUSE_MAX_S = 10.0
_REFRESH_S = 2.0

log = structlog.get_logger(__name__)

Change = Literal["added", "removed", "changed"]


class Changes:
    """Announces changes.

    Attributes:
        lost: Announcements that were given up.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        sequencer: Sequencer,
        directory: Directory,
        hosts: HostLinks,
        clock: Clock,
    ) -> None:
        self._store = store
        self._cache = cache
        self._sequencer = sequencer
        self._directory = directory
        self._hosts = hosts
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self.lost = 0

    async def refresh(self, user: str) -> None:
        """Make every gateway and the user's host read the user anew; what is away reads anew by itself."""
        self._directory.forget(user)
        try:
            await self._cache.publish("directory", user)
        except Unavailable:
            log.warning("change not published", user=user)
        try:
            await self._hosts.ask(user, m.Refresh(0, user), _REFRESH_S)
        except RoostError as exc:
            log.warning("host not refreshed", user=user, error=exc.detail)
            self._spawn(self._refresh_later(user))

    async def keys(self, user: str, username: str, device: str, change: Change) -> None:
        """Make a change of a device's keys known, also to those who talk with the user."""
        await self.refresh(user)
        cause = uuid7(self._clock(), secrets.token_bytes(10))
        try:
            receivers = await self._receivers(user, device)
            remaining = await self._append(receivers, user, username, device, change, cause)
        except Unavailable:
            remaining = None
        if remaining is None or remaining:
            self._spawn(self._insist(remaining, user, username, device, change, cause))

    async def close(self) -> None:
        """Give up what still waits for a server that is away."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _receivers(self, user: str, device: str) -> list[str]:
        receivers = {row.peer for row in await self._store.conversations(user)}
        devices = (await self._store.devices_of([user])).get(user, [])
        if any(each.device != device for each in devices):
            receivers.add(user)
        return sorted(receivers)

    async def _append(
        self, receivers: list[str], user: str, username: str, device: str, change: Change, cause: str
    ) -> list[str]:
        """Write one record for each receiver; returns those whose record was not taken."""
        remaining: list[str] = []
        now = self._clock()
        for start in range(0, len(receivers), _BATCH):
            some = receivers[start : start + _BATCH]
            records = [
                (to, encode_record(KeysRecord(to, cause, user, username, device, change, now))) for to in some
            ]
            seqs = await self._sequencer.append(records)
            remaining += [to for to, seq in zip(some, seqs, strict=True) if not isinstance(seq, int)]
        return remaining

    async def _insist(
        self, remaining: list[str] | None, user: str, username: str, device: str, change: Change, cause: str
    ) -> None:
        pause = _PAUSE_FIRST_S
        for _ in range(_TRIES):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MAX_S)
            try:
                receivers = await self._receivers(user, device) if remaining is None else remaining
                remaining = await self._append(receivers, user, username, device, change, cause)
            except Unavailable:
                continue
            if not remaining:
                return
        self.lost += 1
        log.error("key change not announced", user=user, device=device, change=change)

    async def _refresh_later(self, user: str) -> None:
        pause = _PAUSE_FIRST_S
        for _ in range(_TRIES):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MAX_S)
            try:
                await self._hosts.ask(user, m.Refresh(0, user), _REFRESH_S)
            except RoostError:
                continue
            return

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
