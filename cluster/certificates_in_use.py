"""The certificates that a role uses, and how long they hold."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def certificates_in_use(files: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Read certificates, as operators are shown them; `ends_at_ms` is None of one that cannot be read.

    Args:
        files: `Settings.certificate_files`.
    """
    return [_certificate(purpose, file) for purpose, file in files.items()]


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
