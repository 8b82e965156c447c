"""Replaces the key that signs access tokens when it has served its time."""

import asyncio
from typing import Final

import structlog

from cluster import key_ring
from cluster.settings import Settings
from roost.clock import Clock
from roost.errors import Unavailable
from roost.tasks import BackgroundTasks
from storage.audit_chain import Act
from storage.keyring import KeyRing, KeyRingError, RotationRefused
from storage.ports import Audit

_LOOK_S: Final = 60.0
_ACTOR: Final = "coordinator"

log = structlog.get_logger()


class TokenRotation:
    """Rotates by the setting ``tokens.rotate_s``. It begins at once, in the running event loop.

    Args:
        settings: How often, and where the ring is.
        ring: The ring of this process, which a `RingWatch` keeps as the file is.
        clock: Unix time.
        audit: Where it is written down, if it answers.
        look_s: Between two looks at the key's age.
    """

    def __init__(
        self, settings: Settings, ring: KeyRing, clock: Clock, audit: Audit, look_s: float = _LOOK_S
    ) -> None:
        self._settings, self._ring, self._clock, self._audit = settings, ring, clock, audit
        self._look_s = min(look_s, settings.tokens.rotate_s)
        self._tasks = BackgroundTasks()
        if settings.tokens.rotate_s:
            self._tasks.spawn(self._keep_young(), "rotation of token keys", essential=True)

    async def close(self) -> None:
        """Stop. Idempotent."""
        await self._tasks.cancel()

    async def _keep_young(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            if not self._due():
                continue
            try:
                made = await asyncio.to_thread(key_ring.rotate, self._settings, ["token"], self._clock())
            except RotationRefused:
                continue  # another one has just been made: the file is newer than what we know
            except (KeyRingError, OSError) as exc:
                log.error("token_key_not_rotated", reason=str(exc))  # noqa: TRY400 -- the sentence says it all
            else:
                log.info("token_key_rotated", serial=made.serial)
                await self._write_down()

    async def _write_down(self) -> None:
        try:
            await self._audit.append(Act(_ACTOR, "keys.rotate", "token", "done"), self._clock())
        except Unavailable as exc:
            log.warning("rotation_not_in_audit_log", reason=exc.detail)

    def _due(self) -> bool:
        newest = self._ring.secrets.usable("token", self._clock())[-1]
        return self._clock() - newest.created_at_ms >= self._settings.tokens.rotate_s * 1000
