"""What an operator may ask of any role: the end of its log, its stacks, its settings, its certificates.

Nothing of it is a secret: keys by their ids and ages, settings without passwords.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from actors.service import Service
from cluster.role_shell.stacks import stacks
from cluster.settings import Settings
from cluster.settings.shown import in_force
from roost.clock import now_ms
from roost.errors import RoostError
from storage.keyring import KeyRing, Secrets
from telemetry.live_traces import LiveTraces

MOST_LINES: Final = 1_000
_MOST_BYTES: Final = 256 * 1024


def inspected(service: Service, settings: Settings, name: str, keyring: KeyRing | None = None) -> Service:
    """Return the same service, which an operator can look into; the key ring's ages too, if it is given."""
    return cast("Service", _Inspected(service, settings, name, keyring))


class _Inspected:
    """Answers what any role is asked; everything else is the service's."""

    def __init__(self, service: Service, settings: Settings, name: str, keyring: KeyRing | None) -> None:
        self._service, self._settings, self._name = service, settings, name
        self._traces = LiveTraces()
        self._answers: dict[Any, Callable[[dict[str, Any]], Any]] = {
            "log": lambda said: last_lines(self._log, said["lines"]),
            "stacks": lambda _: stacks(),
            "settings": lambda _: in_force(settings),
            "certificates": lambda _: _certificates(settings),
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


def _certificates(settings: Settings) -> list[dict[str, Any]]:
    files = {"clients": settings.tls.certificate, "node": settings.node.certificate, "ca": settings.node.ca}
    return [_certificate(purpose, file) for purpose, file in files.items() if file is not None]


def _certificate(purpose: str, file: Path) -> dict[str, Any]:
    from cluster.certificates.files import (  # noqa: PLC0415 -- it loads what few need
        CertificateError,
        read_certificate,
    )

    row: dict[str, Any] = {"name": file.name, "kind": "certificate", "purpose": purpose}
    try:
        found = read_certificate(file)
    except (CertificateError, OSError) as exc:
        return row | {"state": f"it cannot be read: {exc}", "made_at_ms": None, "ends_at_ms": None}
    now = dt.datetime.now(dt.UTC)
    state = "ended" if found.not_valid_after_utc < now else "valid"
    return row | {
        "state": state,
        "made_at_ms": _ms(found.not_valid_before_utc),
        "ends_at_ms": _ms(found.not_valid_after_utc),
    }


def _ms(at: dt.datetime) -> int:
    return round(at.timestamp() * 1000)
