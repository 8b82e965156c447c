"""The shell of a role: its metrics are shown while it runs, and what it was built from is closed after it."""

import asyncio
from typing import Any, Final, Protocol, cast

import structlog

from actors.service import Address, Service
from roost.errors import Unavailable
from telemetry.exporter import Exporter

_CLOSE_S: Final = 1.0
"""For all of them: a server that hangs must not make the stop of a role look forced."""

log = structlog.get_logger()


class Closable(Protocol):
    """A connection to a server underneath."""

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        ...


def in_shell(service: Service, exporter: Exporter, *opened: Closable) -> Service:
    """Return the same service, shown by the exporter while it runs; these are closed when it has stopped."""
    return cast("Service", _Shell(service, exporter, opened))


class _Shell:
    """Begins and ends with its service; everything else is the service's."""

    def __init__(self, service: Service, exporter: Exporter, opened: tuple[Closable, ...]) -> None:
        self._service, self._exporter, self._opened = service, exporter, opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def start(self) -> Address | None:
        address = await self._service.start()
        try:
            await self._exporter.start()
        except OSError as exc:
            log.warning("metrics_not_shown", reason=str(exc))
        return address

    async def stop(self) -> list[str]:
        try:
            return await self._service.stop()
        finally:
            await asyncio.gather(self._exporter.stop(), *map(_closed, self._opened))


async def _closed(opened: Closable) -> None:
    try:
        async with asyncio.timeout(_CLOSE_S):
            await opened.close()
    except (Unavailable, TimeoutError) as exc:
        log.warning("not_closed", what=type(opened).__name__, reason=str(exc) or type(exc).__name__)
