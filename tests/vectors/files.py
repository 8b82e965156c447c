"""All vector files by name, as text."""

import json
from typing import Any

from tests.vectors import sealed, wire


def written() -> dict[str, str]:
    """Return what each file should hold."""
    makers = {"sealed.json": sealed.vectors, "wire.json": wire.vectors}
    return {name: _text(make()) for name, make in makers.items()}


def _text(vectors: dict[str, Any]) -> str:
    return json.dumps(vectors, indent=1, ensure_ascii=True) + "\n"
