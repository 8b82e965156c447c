"""Closes what a role was built from, once the role has stopped."""

import asyncio
from typing import Any, Final, Protocol, cast

import structlog

from actors.service import Service
from roost.errors import Unavailable

_CLOSE_S: Final = 1.0
"""For all of them: a server that hangs must not make the stop of a role look forced."""

log = structlog.get_logger()


class Closable(Protocol):
    """A connection to a server underneath."""

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        ...


def closing(service: Service, *opened: Closable) -> Service:
    """Return the same service, which closes these when it has stopped."""
    return cast("Service", _Closing(service, opened))


class _Closing:
    """Stops its service, then closes; everything else is the service's."""

    def __init__(self, service: Service, opened: tuple[Closable, ...]) -> None:
        self._service, self._opened = service, opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def stop(self) -> list[str]:
        try:
            return await self._service.stop()
        finally:
            await asyncio.gather(*map(_closed, self._opened))


async def _closed(opened: Closable) -> None:
    try:
        async with asyncio.timeout(_CLOSE_S):
            await opened.close()
    except (Unavailable, TimeoutError) as exc:
        log.warning("not_closed", what=type(opened).__name__, reason=str(exc) or type(exc).__name__)
