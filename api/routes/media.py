"""Files: uploaded in one request, read whole or in ranges, deleted by their owner."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response

from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.http.problems import problem_response, request_id_of, responses
from api.http.routing import ApiRoute
from api.http.schemas.media import UploadedMedia
from api.identity.tokens import Principal
from api.media import Broken, OutgoingFile, Span, asked, pour
from roost import wire
from roost.errors import RoostError

router = APIRouter(route_class=ApiRoute, tags=["media"])

_MINE: Final = ("unauthenticated", "revoked", "rate_limited")
_BYTES: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_BODY: Final = {"requestBody": {"required": True, "content": {"application/octet-stream": _BYTES}}}
_INERT: Final = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Accept-Ranges": "bytes",
}
"""Whatever the bytes are, no browser shows or runs them in the name of this server."""


@router.post(
    "/v1/media",
    status_code=201,
    response_model=UploadedMedia,
    responses=responses(*_MINE, "media_quota", "too_slow"),
    openapi_extra=_BODY,
)
async def upload(request: Request, caller: Caller, collaborators: With) -> Response:
    """Upload a file that is encrypted already. If it breaks off nothing is kept: use tus to go on."""
    media = collaborators.media
    collaborators.limits.check_here("transfers", caller.user)
    length = request.headers.get("content-length")
    digest, still = hashlib.sha256(), _still(caller, collaborators)
    with media.transfer("upload", caller.user):
        media_id, blob = await media.blobs.reserve(caller.user, None if length is None else int(length))
        try:
            writer = await media.blobs.begin(blob)
            await pour(request, writer, blob.size, media.limits.pace, still, digest.update)
            expires_at_ms = await media.blobs.finish(writer)
        except Broken:
            await media.blobs.remove(blob)
            return problem_response(
                RoostError("bad_request", "The request broke off."), request_id_of(request)
            )
        except BaseException:
            await media.blobs.remove(blob)
            raise
    body = {
        "media_id": media_id,
        "size": writer.offset,
        "sha256": wire.unpadded(digest.digest()),
        "expires_at_ms": expires_at_ms,
    }
    return Response(msgspec.json.encode(body), 201, media_type="application/json")


@router.get(
    "/v1/media/{media_id}",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": _BYTES}},
        206: {"description": "The range.", "content": {"application/octet-stream": _BYTES}},
        304: {"description": "It is the one that the client has."},
        **responses(*_MINE, "unknown_media", "range_not_satisfiable"),
    },
)
async def download(media_id: str, request: Request, caller: Caller, collaborators: With) -> Response:
    """Return a file, or one range of it, to whoever has its id."""
    media = collaborators.media
    blob = await media.blobs.find(media_id)
    if blob.state != "whole":
        raise RoostError("unknown_media", "There is no such file, or not yet.")
    tag = f'"{blob.name[:32]}"'
    headers = {**_INERT, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        span = asked(_range(request, tag), blob.size)
    except RoostError as exc:
        refusal = problem_response(exc, request_id_of(request))
        refusal.headers["Content-Range"] = f"bytes */{blob.size}"
        return refusal
    status = 200 if span is None else 206
    if span is not None:
        headers["Content-Range"] = f"bytes {span.begin}-{span.end - 1}/{blob.size}"
    begin, end = span or Span(0, blob.size)
    headers["Content-Length"] = str(end - begin)
    if request.scope.get("head"):
        return Response(None, status, headers, "application/octet-stream")
    collaborators.limits.check_here("transfers", caller.user)  # a byte costs as much as a part
    parts = media.blobs.read(blob, begin, end)
    return OutgoingFile(media, caller.user, parts, _still(caller, collaborators), status, headers)


@router.delete(
    "/v1/media/{media_id}", status_code=204, responses=responses(*_MINE, "unknown_media", "forbidden")
)
async def delete(media_id: str, caller: Caller, collaborators: With) -> Response:
    """Delete a file. Who is just reading it gets no more of it."""
    blob = await collaborators.media.blobs.find(media_id)
    if blob.user != caller.user:
        raise RoostError("forbidden", "Only the one who uploaded a file can delete it.")
    await collaborators.media.blobs.remove(blob)
    return Response(status_code=204)


def _still(caller: Principal, collaborators: Collaborators) -> Callable[[], None]:
    return partial(collaborators.revocations.check, caller.family)


def _range(request: Request, tag: str) -> str | None:
    """Return the range asked for, unless it is only wanted of another file than this one."""
    condition = request.headers.get("if-range")
    return request.headers.get("range") if condition in (None, tag) else None
