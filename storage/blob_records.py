"""Rows of media: what the store keeps of one blob beside its bytes."""

from typing import Final, Literal

from msgspec import Struct

PART_BYTES: Final = 1024 * 1024
"""Bytes of a blob in one object; the last part of a blob may have fewer."""


class Blob(Struct, frozen=True):
    """One blob: bytes that a user uploaded, in parts of equal size.

    Attributes:
        name: Digest of the media id, by which rows and objects are found: the id itself is not stored.
        user: Owner's user id.
        size: Bytes that it has; until it is whole, bytes that are reserved for it.
        offset: Bytes of it that the object store has.
        state: ``open``: an upload in progress; ``whole``: it can be read; ``gone``: its bytes are
            removed, and only its share of the day's quota is left.
        key: 32 bytes that seal the parts, in the clear here and sealed in the store; empty once it is gone.
        writer: Who may append; another one takes its place with each request that goes on.
        runs: ``(first part, writer)`` in rising order: the parts from there on are named after this writer.
        created_at_ms: When the upload began.
        expires_at_ms: When it goes, or if it is gone when its row does.
        part: Bytes of each part.
    """

    name: str
    user: str
    size: int
    offset: int
    state: Literal["open", "whole", "gone"]
    key: bytes
    writer: str
    runs: tuple[tuple[int, str], ...]
    created_at_ms: int
    expires_at_ms: int
    part: int = PART_BYTES

    def place(self, index: int) -> str:
        """Return the object that holds a part."""
        writer = next(writer for first, writer in reversed(self.runs) if first <= index)
        return place(self.name, index, writer)


class Usage(Struct, frozen=True):
    """What counts against a user's quota of one blob."""

    name: str
    size: int
    state: str
    created_at_ms: int


def place(name: str, index: int, writer: str) -> str:
    """Return the object that holds a part which this writer wrote."""
    return f"{name}/{index:06d}.{writer}"
