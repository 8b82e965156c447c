"""Invalidation of what gateways remember: changed users and ended sessions, told through Redis.

Redis says nothing when a subscription is dead, so each gateway also sends itself a pulse. Whenever one does
not come back at once the ended sessions are read from the store, so that none is good for a second longer;
while none comes back the directory, too, trusts itself for one second only.
"""

import asyncio
from itertools import islice

import structlog

from actors.rpc import questions as q
from api.host_links import HostLinks
from api.identity.directory import Directory
from api.identity.revocation import Revocations
from roost.clock import Clock
from roost.errors import RoostError, Unavailable
from roost.tasks import BackgroundTasks, backoff, insist
from storage.ports import Cache

_PULSE_S = 0.5
_ECHO_S = 0.3
"""How long a pulse may take to come back; with the time between two, below the second that is promised."""

_SILENT_MS = 2_000
_REFRESH_S = 2.0
_REFRESH_TRIES = 60
_PAUSE_FIRST_S = 0.2
_PAUSE_MAX_S = 10.0

_SESSIONS = "revoked"
_USERS = "directory"

log = structlog.get_logger(__name__)


class CacheInvalidation:
    """One gateway's end of the channels: it publishes, and takes what others publish."""

    def __init__(
        self,
        name: str,
        cache: Cache,
        directory: Directory,
        revocations: Revocations,
        hosts: HostLinks,
        clock: Clock,
    ) -> None:
        self._channel = f"pulse.{name}"
        self._cache = cache
        self._directory = directory
        self._revocations = revocations
        self._hosts = hosts
        self._clock = clock
        self._heard_ms = 0
        self._echo = asyncio.Event()
        self._tasks = BackgroundTasks()

    async def user_changed(self, user: str, renewed: str = "") -> None:
        """Make every gateway and the user's host read the user again.

        A gateway that is not subscribed reads again by itself; a host that is away is asked until it answers.

        Args:
            user: User id.
            renewed: The device that has a new push token, '' if another thing has changed.
        """
        self._directory.forget(user)
        try:
            await self._cache.publish(_USERS, user)
        except Unavailable:
            log.warning("change_not_published", user=user)
        try:
            await self._refresh(user, renewed)
        except RoostError as exc:
            log.warning("host_not_refreshed", user=user, reason=exc.detail)
            pauses = islice(backoff(_PAUSE_FIRST_S, _PAUSE_MAX_S), _REFRESH_TRIES)

            async def refresh() -> None:
                await self._refresh(user, renewed)

            again = insist(refresh, "host_not_refreshed", on=RoostError, pauses=pauses)
            self._tasks.spawn(again, "refresh of a host")

    async def session_ended(self, family: str) -> None:
        """Make every gateway refuse the session's access tokens."""
        self._revocations.add(family)
        try:
            await self._cache.publish(_SESSIONS, family)
        except Unavailable:
            # The other gateways read the ended sessions from the store while they hear nothing.
            log.warning("revocation_not_published", family=family)

    async def listen(self) -> None:
        """Take what comes. Does not return."""
        channels = (_SESSIONS, _USERS, self._channel)
        async for channel, message in self._cache.subscribe(channels, self._connected):
            if channel == _SESSIONS:
                self._revocations.add(message)
            elif channel == _USERS:
                self._directory.forget(message)
            else:
                self._heard_ms = self._clock()
                self._echo.set()

    async def pulse(self) -> None:
        """Send the pulse, and act while it does not come back. Does not return."""
        now_s = asyncio.get_running_loop().time
        while True:
            began_s = now_s()
            if not await self._echoed():
                await self._reload()
            # Below zero the clock was set back: no one knows how long there was silence.
            subscribed = 0 <= self._clock() - self._heard_ms <= _SILENT_MS
            if subscribed != self._directory.subscribed:
                log.info("cache_invalidation_restored" if subscribed else "cache_invalidation_lost")
                if subscribed:
                    self._directory.clear()
            self._directory.subscribed = subscribed
            await asyncio.sleep(max(_PULSE_S - (now_s() - began_s), _PULSE_S / 2))

    async def close(self) -> None:
        """Give up hosts that are still to be asked: they read their users when they start."""
        await self._tasks.cancel()

    async def _echoed(self) -> bool:
        """Send a pulse, and return whether one comes back in time."""
        self._echo.clear()
        self._tasks.spawn(self._send(), "pulse")  # not awaited: a Redis that hangs must not hold us up
        try:
            async with asyncio.timeout(_ECHO_S):
                await self._echo.wait()
        except TimeoutError:
            return False
        return True

    async def _send(self) -> None:
        try:
            await self._cache.publish(self._channel, "")
        except Unavailable as exc:
            log.debug("pulse_not_sent", error=exc.detail)

    async def _refresh(self, user: str, renewed: str) -> None:
        await self._hosts.change(user, q.Refresh(0, user, renewed), _REFRESH_S)

    async def _connected(self) -> None:
        self._directory.clear()
        await self._reload()
        self._heard_ms = self._clock()
        self._directory.subscribed = True

    async def _reload(self) -> None:
        try:
            await self._revocations.reload()
        except RoostError as exc:
            log.warning("ended_sessions_not_read", error=exc.detail)
