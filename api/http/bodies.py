"""Bodies of requests: how long they may be, how slow, and of what type."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request

from roost import wire
from roost.errors import RoostError

BODY_MAX: Final = 64 * 1024
"""Bytes of a body, where `LONGER` does not say otherwise."""

LONGER: Final = {"/v1/messages": wire.MAX_FRAME, "/v1/keys/upload": wire.MAX_FRAME}

_FILE: Final = "/v1/media"
_UPLOAD: Final = "/v1/media/uploads/"
"""Bodies there are streamed to the store, within the bounds of `api.media.incoming`."""

_GRACE_S: Final = 20.0
_BYTES_PER_S: Final = 1_000
"""A body must have arrived after the grace and a second for each so many of its bytes."""

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


def check_length(scope: Mapping[str, Any]) -> None:
    """Refuse a body that says itself that it is too long.

    Raises:
        RoostError: ``too_large``.
    """
    if scope["path"] == _FILE or scope["path"].startswith(_UPLOAD):
        return
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    limit = LONGER.get(scope["path"], BODY_MAX)
    if length and int(length) > limit:
        raise _too_large(limit)


async def read_body(request: Request) -> None:
    """Read the body into the request, before anything parses it.

    Raises:
        RoostError: ``too_large``, ``unsupported_media_type``, or ``too_slow``.
        ClientDisconnect: It breaks off: the request must not be carried out.
    """
    limit = LONGER.get(request.scope["path"], BODY_MAX)
    chunks: list[bytes] = []
    size = 0
    begun = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(begun + _GRACE_S) as patience:
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                patience.reschedule(begun + _GRACE_S + size / _BYTES_PER_S)
    except TimeoutError as exc:
        raise RoostError(
            "too_slow", f"A body must arrive with at least {_BYTES_PER_S} bytes a second."
        ) from exc
    if size and request.method in _WITH_BODY:
        _check_type(request.headers.get("content-type", ""))
    request._body = b"".join(chunks)  # noqa: SLF001 -- where Starlette keeps a body that was read


def _check_type(content_type: str) -> None:
    name = content_type.partition(";")[0].strip().lower()
    if name != "application/json":
        raise RoostError("unsupported_media_type", "Send the body as application/json.")


def _too_large(limit: int) -> RoostError:
    return RoostError("too_large", f"The body may be at most {limit} bytes.")
