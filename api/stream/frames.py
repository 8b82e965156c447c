"""Outgoing WebSocket frames: refusals, entries joined into few frames, and frames as ASGI messages."""

from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from api.stream.actions import Shut
from roost import wire
from roost.errors import RoostError

_ENTRIES_BYTES = 256 * 1024
_ID_SHOWN = 64


def merged(frames: list[wire.ServerFrame]) -> Iterator[wire.ServerFrame]:
    """Join neighbouring entries frames, and split them where one would get too long for a client."""
    entries: list[Raw] = []
    size = 0
    for frame in frames:
        if isinstance(frame, wire.Entries):
            for entry in frame.entries:
                length = memoryview(entry).nbytes
                if entries and (size + length > _ENTRIES_BYTES or len(entries) >= wire.WINDOW):
                    yield wire.Entries(entries)
                    entries, size = [], 0
                entries.append(entry)
                size += length
            continue
        if entries:
            yield wire.Entries(entries)
            entries, size = [], 0
        yield frame
    if entries:
        yield wire.Entries(entries)


def rejected(message_id: str, error: RoostError) -> wire.Rejected:
    """Return the frame that refuses a message."""
    return wire.Rejected(
        id=message_id[:_ID_SHOWN],
        code=error.code.word,
        detail=error.detail,
        retry_after_s=error.retry_after_s,
        missing=error.extra.get("missing"),
        extra=error.extra.get("extra"),
        own_missing=error.extra.get("own_missing"),
        own_extra=error.extra.get("own_extra"),
    )


def message(data: bytes, *, text: bool, more: bool) -> dict[str, Any]:
    """Return the ASGI message that sends an encoded frame.

    Args:
        data: The frame.
        text: Whether it goes as text.
        more: The next one follows at once; this one may leave with it (`api.server.websocket_connection`).
    """
    if text:
        return {"type": "websocket.send", "text": data.decode(), "more": more}
    return {"type": "websocket.send", "bytes": data, "more": more}


def closing(shut: Shut) -> dict[str, Any]:
    """Return the ASGI message that closes the socket."""
    # A close frame carries at most 123 bytes of reason (RFC 6455, section 5.5).
    return {"type": "websocket.close", "code": shut.code, "reason": shut.reason[:60]}
