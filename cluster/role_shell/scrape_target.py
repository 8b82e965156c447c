"""A role's metrics on its node's scrape target, from the role's start to its stop."""

from typing import Any, cast

import structlog

from actors.service import Address, Service
from cluster.folders import runtime_folder
from cluster.settings import Settings
from telemetry.exporter import Exporter, Shown

log = structlog.get_logger()


def exported(service: Service, settings: Settings, role: str, name: str) -> Service:
    """Return the same service, shown by its node's scrape target from its start to its stop."""
    telemetry = settings.telemetry
    address = (telemetry.metrics_host, telemetry.metrics_port) if telemetry.metrics_port else None
    exporter = Exporter(Shown(role, name), service.metrics, runtime_folder(settings.data), address)
    return cast("Service", _Exported(service, exporter))


class _Exported:
    """Starts and stops an exporter with its service; everything else is the service's."""

    def __init__(self, service: Service, exporter: "Exporter") -> None:
        self._service, self._exporter = service, exporter

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
            await self._exporter.stop()
