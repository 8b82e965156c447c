"""What gateways tell each other through Redis: ended sessions, changed users.

Redis says nothing when a subscription is dead, so each gateway also sends itself a pulse. While
none comes back the directory trusts itself for one second only, and ended sessions are read from
the store again and again.
"""

import asyncio

import structlog

from api.identity.directory import Directory
from api.identity.revocation import Revocations
from roost.clock import Clock
from roost.errors import RoostError, Unavailable
from storage.ports import Cache

_PULSE_S = 0.5
_DEAF_MS = 2_000

log = structlog.get_logger(__name__)


class Hearing:
    """The subscription of one gateway."""

    def __init__(
        self, name: str, cache: Cache, directory: Directory, revocations: Revocations, clock: Clock
    ) -> None:
        self._channel = f"pulse.{name}"
        self._cache = cache
        self._directory = directory
        self._revocations = revocations
        self._clock = clock
        self._heard_ms = 0

    async def listen(self) -> None:
        """Take what comes, for ever."""
        channels = ("revoked", "directory", self._channel)
        async for channel, message in self._cache.subscribe(channels, self._connected):
            if channel == "revoked":
                self._revocations.add(message)
            elif channel == "directory":
                self._directory.forget(message)
            else:
                self._heard_ms = self._clock()

    async def pulse(self) -> None:
        """Send the pulse, and act while it does not come back, for ever."""
        while True:
            await asyncio.sleep(_PULSE_S)
            try:
                await self._cache.publish(self._channel, "")
            except Unavailable as exc:
                log.debug("pulse_not_sent", error=exc.detail)
            deaf = self._clock() - self._heard_ms > _DEAF_MS
            if deaf == self._directory.subscribed:
                log.info("deaf" if deaf else "hearing")
                if not deaf:
                    self._directory.clear()
            self._directory.subscribed = not deaf
            if deaf:
                await self._reload()

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
