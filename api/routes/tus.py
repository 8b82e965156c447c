"""Resumable uploads by the tus protocol 1.0.0 (tus.io): core, creation, expiration, termination.

An upload's address ends in the id of the file that it becomes.
"""

import re
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.http.problems import problem_response, request_id_of
from api.http.routing import ApiRoute
from api.identity.tokens import Principal
from api.media import Broken, check_metadata, pour
from roost.errors import RoostError, Unavailable
from storage.blob_records import Blob
from storage.blobs import WriterReplaced
from storage.blobs.sealing import PartBroken

VERSION: Final = "1.0.0"
UPLOADS: Final = "/v1/media/uploads"
_CHUNK: Final = "application/offset+octet-stream"
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class TusRoute(ApiRoute):
    """A route whose every answer names the version, and which serves no other."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with what the protocol wants around it."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                _check_version(request)
                answer = await handle(request)
            except RoostError as exc:
                answer = problem_response(exc, request_id_of(request))
                if exc.code.word == "tus_version":
                    answer.headers["Tus-Version"] = VERSION
            answer.headers["Tus-Resumable"] = VERSION
            return answer

        return handler


router = APIRouter(route_class=TusRoute, tags=["media"], include_in_schema=False)


@router.options(UPLOADS)
@router.options(UPLOADS + "/{media_id}")
async def options(collaborators: With) -> Response:
    """Say what is supported."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,expiration,termination",
        "Tus-Max-Size": str(collaborators.media.blobs.quota.file_bytes),
    }
    return Response(status_code=204, headers=headers)


@router.post(UPLOADS)
async def create(request: Request, caller: Caller, collaborators: With) -> Response:
    """Begin an upload."""
    collaborators.limits.check_here("transfers", caller.user)
    length = _number(request, "upload-length")
    check_metadata(request.headers.get("upload-metadata", ""))
    blobs = collaborators.media.blobs
    media_id, blob = await blobs.reserve(caller.user, length)
    if length == 0:
        await blobs.finish(await blobs.begin(blob))
    return Response(
        status_code=201, headers={"Location": f"{UPLOADS}/{media_id}", "Upload-Expires": _expires(blob)}
    )


@router.get(UPLOADS + "/{media_id}")
async def offset(media_id: str, caller: Caller, collaborators: With) -> Response:
    """Say where to go on (it is asked with HEAD)."""
    blob = await _own(media_id, caller, collaborators)
    headers = {"Upload-Length": str(blob.size), **_progress(blob, blob.offset)}
    return Response(status_code=200, headers=headers)


@router.patch(UPLOADS + "/{media_id}")
async def append(media_id: str, request: Request, caller: Caller, collaborators: With) -> Response:
    """Append bytes; those that came before the connection broke off are kept."""
    collaborators.limits.check_here("transfers", caller.user)
    if request.headers.get("content-type", "").strip().lower() != _CHUNK:
        raise RoostError("unsupported_media_type", f"Send the bytes as {_CHUNK}.")
    at, blob = _number(request, "upload-offset"), await _own(media_id, caller, collaborators)
    if at != blob.offset:
        raise RoostError("offset_mismatch", f"The upload goes on at {blob.offset}.", offset=blob.offset)
    coming = request.headers.get("content-length")
    if coming is not None and at + int(coming) > blob.size:
        raise RoostError("too_large", f"The upload ends at {blob.size} bytes.")
    if blob.state == "whole":
        return Response(status_code=204, headers=_progress(blob, blob.offset))
    with collaborators.media.transfer("upload", caller.user):
        reached = await _append(request, blob, caller, collaborators)
    return Response(status_code=204, headers=_progress(blob, reached))


@router.delete(UPLOADS + "/{media_id}")
async def terminate(media_id: str, caller: Caller, collaborators: With) -> Response:
    """Give an upload up, or delete what became of it."""
    await collaborators.media.blobs.remove(await _own(media_id, caller, collaborators))
    return Response(status_code=204)


@router.post(UPLOADS + "/{media_id}")
async def override(media_id: str, request: Request, caller: Caller, collaborators: With) -> Response:
    """Serve a client that can send nothing but GET and POST: the header names the method."""
    match request.headers.get("x-http-method-override", "").upper():
        case "PATCH":
            return await append(media_id, request, caller, collaborators)
        case "HEAD":
            return await offset(media_id, caller, collaborators)
        case "DELETE":
            return await terminate(media_id, caller, collaborators)
    raise RoostError("method_not_allowed", "An upload is asked for with HEAD, PATCH and DELETE.")


async def _append(request: Request, blob: Blob, caller: Principal, collaborators: Collaborators) -> int:
    """Append the body; returns how far the upload is then."""
    media = collaborators.media
    still = partial(collaborators.revocations.check, caller.family)
    try:
        writer = await media.blobs.begin(blob)
        try:
            await pour(request, writer, blob.size, media.limits.pace, still)
        except Unavailable:
            await writer.note()  # what is stored need not be sent again
            raise
        except (Broken, RoostError) as exc:
            await writer.flush()
            if isinstance(exc, Broken):  # who would read the answer is gone
                raise RoostError("bad_request", "The request broke off.") from exc
            raise
        if writer.offset == blob.size:
            await media.blobs.finish(writer)
        else:
            await writer.flush()
    except WriterReplaced as exc:
        raise RoostError("offset_mismatch", "Another request goes on with it, or it was ended.") from exc
    except PartBroken as exc:
        raise RoostError("unknown_media", "The upload is damaged: begin again.") from exc
    return writer.offset


def _check_version(request: Request) -> None:
    if request.method != "OPTIONS" and request.headers.get("tus-resumable") != VERSION:
        raise RoostError("tus_version", f"Send the header 'Tus-Resumable: {VERSION}'.")


async def _own(media_id: str, caller: Principal, collaborators: Collaborators) -> Blob:
    blob = await collaborators.media.blobs.find(media_id)
    if blob.user != caller.user:
        raise RoostError("unknown_media", "There is no such upload of this user.")
    return blob


def _progress(blob: Blob, offset: int) -> dict[str, str]:
    return {"Upload-Offset": str(offset), "Upload-Expires": _expires(blob)}


def _expires(blob: Blob) -> str:
    return formatdate(blob.expires_at_ms / 1000, usegmt=True)


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise RoostError("bad_request", f"The header {name.title()} must be a number of bytes.")
    return int(text)
