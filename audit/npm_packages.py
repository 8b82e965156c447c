"""The packages of npm that the built web client is made of, as its lock file pins them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

LOCK: Final = Path("api/web/client/package-lock.json")
_FOLDER: Final = "node_modules/"


def shipped(lock: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return those that a build may have parts of, as components of a CycloneDX bill of materials.

    Args:
        lock: A ``package-lock.json`` of version 3. What it marks as for development alone is left out.
    """
    return [
        _component(path.rpartition(_FOLDER)[2], package)
        for path, package in sorted(lock["packages"].items())
        if path and not package.get("dev")
    ]


def shipped_by(root: Path) -> list[dict[str, Any]]:
    """Return those of the lock file in the project's folder."""
    return shipped(json.loads((root / LOCK).read_text()))


def _component(name: str, package: Mapping[str, Any]) -> dict[str, Any]:
    purl = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
    said = package.get("license")
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": package["version"],
        "purl": purl,
        "licenses": [{"expression": said}] if said else [],
    }
