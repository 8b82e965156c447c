"""All vector files by name, as text."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.vectors import content, core, identity, sealed, threads, wire

_MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "content.json": content.vectors,
    "identity.json": identity.vectors,
    "sealed.json": sealed.vectors,
    "wire.json": wire.vectors,
}
_HISTORIES: Final[Mapping[str, Callable[[], Any]]] = {
    # In 164 a message gets another id while what is said about it waits behind it.
    "core.json": lambda: core.histories(1, 17) + core.histories(164, 1),
    "threads.json": lambda: [threads.history(seed) for seed in range(1, 31)],
}


def written() -> dict[str, str]:
    """Return what each file should hold: tables to be read, histories as short as they can be."""
    tables = {name: _text(make(), indent=1) for name, make in _MAKERS.items()}
    return tables | {name: _text(make(), indent=None) for name, make in _HISTORIES.items()}


def _text(vectors: Any, indent: int | None) -> str:
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(vectors, indent=indent, separators=separators, ensure_ascii=True) + "\n"
