"""Rows of media, in memory; their bytes are in the memory of the object store."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from storage.blob_records import Blob, Usage


class MemoryBlobs:
    """Implements ``storage.ports.Blobs``."""

    def __init__(self) -> None:
        self._rows: dict[str, Blob] = {}

    async def add(self, blob: Blob) -> None:
        """Insert the row."""
        self._rows.setdefault(blob.name, blob)

    async def get(self, name: str) -> Blob | None:
        """Return the row."""
        return self._rows.get(name)

    async def usage(self, user: str) -> list[Usage]:
        """Return what counts against the user's quota."""
        mine = [each for each in self._rows.values() if each.user == user]
        return [Usage(each.name, each.size, each.state, each.created_at_ms) for each in mine]

    async def take_over(self, seen: Blob, writer: str, runs: Sequence[tuple[int, str]]) -> bool:
        """Make ``writer`` the one that may append, if the row is as it was seen."""
        known = self._rows.get(seen.name)
        if known is None or known.state != "open":
            return False
        if (known.writer, known.offset) != (seen.writer, seen.offset):
            return False
        return self._change(seen.name, writer=writer, runs=tuple(runs))

    async def advance(self, name: str, writer: str, offset: int) -> bool:
        """Note how many bytes the store has."""
        return self._held(name, writer) and self._change(name, offset=max(offset, self._rows[name].offset))

    async def finish(self, name: str, writer: str, size: int, expires_at_ms: int) -> bool:
        """Make it whole."""
        whole = {"state": "whole", "offset": size, "size": size, "expires_at_ms": expires_at_ms}
        return self._held(name, writer) and self._change(name, **whole)

    async def bury(self, name: str, until_ms: int) -> None:
        """Mark it as gone."""
        known = self._rows.get(name)
        if known is not None and known.state != "gone":
            size = known.offset if known.state == "open" else known.size
            self._change(name, state="gone", key=b"", size=size, expires_at_ms=until_ms)

    async def due(self, now_ms: int, limit: int) -> list[Blob]:
        """Return rows whose time is over."""
        due = [each for each in self._rows.values() if each.expires_at_ms <= now_ms]
        return [structs.replace(each, key=b"") for each in due[:limit]]

    async def forget(self, name: str) -> None:
        """Delete the row."""
        self._rows.pop(name, None)

    def bury_all(self, user: str) -> None:
        """Mark all of a user's as gone."""
        for each in list(self._rows.values()):
            if each.user == user:
                self._change(each.name, state="gone", key=b"", expires_at_ms=0)

    def _held(self, name: str, writer: str) -> bool:
        known = self._rows.get(name)
        return known is not None and known.state == "open" and known.writer == writer

    def _change(self, name: str, **changes: Any) -> bool:
        self._rows[name] = structs.replace(self._rows[name], **changes)
        return True
