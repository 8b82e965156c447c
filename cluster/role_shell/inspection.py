"""What operators are shown of any role: its figures, the end of its log, stacks, settings, certificates.

Nothing of it is a secret: keys by their ids and ages, settings without passwords. The figures are in its
status, for the coordinator's dashboard; the rest is answered when it is asked for.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from actors.service import Service
from cluster.certificates_in_use import certificates_in_use
from cluster.role_shell.stacks import stacks
from cluster.settings import Settings
from cluster.settings.shown import in_force
from roost.clock import now_ms
from roost.errors import RoostError
from storage.keyring import KeyRing, Secrets
from telemetry.live_traces import LiveTraces
from telemetry.role_figures import COUNTS, KEY, LEVELS, Reader

MOST_LINES: Final = 1_000
_MOST_BYTES: Final = 256 * 1024


def inspected(
    service: Service,
    settings: Settings,
    name: str,
    *,
    reader: Reader | None = None,
    keyring: KeyRing | None = None,
) -> Service:
    """Return the same service, which an operator can look into.

    Args:
        service: A role.
        settings: Its own.
        name: Its name.
        reader: Reads what its process uses and has counted; None: its status is without.
        keyring: Of which the ages are told; None: of none.
    """
    return cast("Service", _Inspected(service, settings, name, reader, keyring))


class _Inspected:
    """Answers what any role is asked, and adds its figures; everything else is the service's."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        name: str,
        reader: Reader | None,
        keyring: KeyRing | None,
    ) -> None:
        self._service, self._settings, self._name, self._reader = service, settings, name, reader
        self._traces = LiveTraces()
        self._answers: dict[Any, Callable[[dict[str, Any]], Any]] = {
            "log": lambda said: last_lines(self._log, said["lines"]),
            "stacks": lambda _: stacks(),
            "settings": lambda _: in_force(settings),
            "certificates": lambda _: certificates_in_use(settings.certificate_files),
            "trace": lambda said: self._traces.arm(said["user"], said["name"], said["by"], said["for_s"]),
            "hops": lambda said: self._traces.seen(said["by"], said["user"], said["cause"]),
        }
        if keyring is not None:
            self._answers["keys"] = lambda _: _keys(keyring.secrets, now_ms())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    @property
    def _log(self) -> Path:
        return self._settings.data / "logs" / f"{self._name}.log"

    async def status(self) -> dict[str, Any]:
        figures = await self._service.status()
        if self._reader is None:
            return figures
        own = self._reader.read(figures.pop(COUNTS, {}), figures.pop(LEVELS, {}))
        return figures | {KEY: own}

    async def tell(self, message: dict[str, Any]) -> Any:
        act = message.get("act")
        if act in self._answers:
            return self._answers[act](message)
        tell = getattr(self._service, "tell", None)
        if tell is None:
            raise RoostError("bad_request", f"{self._name} takes no message {act!r}.")
        return await tell(message)


def last_lines(file: Path, count: int) -> list[str]:
    """Return the last lines of a file, as many as there are within some bytes of its end; [] without it."""
    try:
        with file.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - _MOST_BYTES))
            text = log.read(_MOST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = text.splitlines()
    whole = lines if size <= _MOST_BYTES else lines[1:]
    return whole[-min(count, MOST_LINES) :]


def _keys(ring: Secrets, now: int) -> list[dict[str, Any]]:
    return [
        {
            "id": key.id,
            "kind": "key",
            "purpose": key.purpose,
            "state": ring.state_of(key, now).value,
            "made_at_ms": key.created_at_ms,
            "used_from_ms": key.not_before_ms,
            "ends_at_ms": key.retire_at_ms,
        }
        for key in ring.keys
    ]
