"""A role whose status also says what its process uses and has counted, for the operators' dashboard."""

from typing import Any, cast

from actors.service import Service
from telemetry.role_figures import COUNTS, KEY, LEVELS, Reader


def observed(service: Service, reader: Reader) -> Service:
    """Return the same service, with `telemetry.role_figures.RoleFigures` in its status."""
    return cast("Service", _Observed(service, reader))


class _Observed:
    """Adds the figures; everything else is the service's."""

    def __init__(self, service: Service, reader: Reader) -> None:
        self._service, self._reader = service, reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def status(self) -> dict[str, Any]:
        figures = await self._service.status()
        own = self._reader.read(figures.pop(COUNTS, {}), figures.pop(LEVELS, {}))
        return figures | {KEY: own}
