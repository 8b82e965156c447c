"""Server-sent events, as bytes."""

from typing import Any, Final

import msgspec

from roost.errors import RoostError

PING: Final = b": ping\n\n"
"""A comment: it says that the connection lives, also to what is in between."""


def frame(event: str, data: Any) -> bytes:
    """Return one event. JSON holds no line end, so the data is one line."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(data))


def bye(error: RoostError) -> bytes:
    """Return the last event of a stream."""
    return frame("bye", {"code": error.code.word, "detail": error.detail})
