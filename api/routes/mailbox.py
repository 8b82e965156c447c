"""The caller's mailbox: sync, acknowledgements, read marks, and typing."""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from actors.rpc import questions as q
from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.mailboxes import Page, ReadUpTo, TypingTo, UpTo
from api.http.waiting import while_connected
from api.identity.limits import limited
from roost import wire
from roost.errors import RoostError
from roost.ids import SEQ_LIMIT
from telemetry import traces

router = APIRouter(route_class=ApiRoute, tags=["mailbox"])
_MINE = ("unauthenticated", "revoked", "rate_limited")
_ANSWER_S = 8.0
_DIGITS = re.compile(r"[0-9]{1,16}")


@router.get("/v1/sync", response_model=Page, responses=responses(*_MINE, "cursor_invalid"))
async def sync(
    request: Request,
    caller: Caller,
    collaborators: With,
    cursor: Annotated[
        str | None, Query(description="Where to continue; by default the device's stored cursor.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=wire.WINDOW)] = 100,
    wait_s: Annotated[
        float, Query(ge=0, le=60, description="Long poll: wait this long for a first entry.")
    ] = 0,
) -> Response:
    """Return entries after the cursor, in `seq` order. Syncing does not acknowledge."""
    question = q.Sync(0, caller.user, caller.device, _position(cursor), limit, int(wait_s * 1000))
    left = await collaborators.key_supplies.told(caller.user, caller.device)
    asking = collaborators.hosts.ask(caller.user, question, wait_s + _ANSWER_S)
    async with collaborators.revocations.unless_ended(caller.family):
        page = await (while_connected(request, asking) if wait_s else asking)
    if not isinstance(page, q.Page):
        raise RoostError("internal", "The mailbox's host gave an unexpected answer.")
    if traces.tracer is not None:
        traces.tracer.went_down(caller.user, caller.device, page.entries)
    entries = [wire.entry_to_json(entry) for entry in page.entries]
    body = {"cursor": page.cursor, "entries": entries, "more": page.more, "missed": page.missed, **left}
    return Response(msgspec.json.encode(body), media_type="application/json")


@router.post("/v1/acks", status_code=204, responses=responses(*_MINE, "cursor_invalid"))
async def acknowledge(body: UpTo, caller: Caller, collaborators: With) -> Response:
    """Acknowledge everything up to `seq`: it is safely on this device."""
    if traces.tracer is not None:
        traces.tracer.acknowledged(caller.user, caller.device, body.seq)
    await collaborators.hosts.ask(caller.user, q.AckUpTo(0, caller.user, caller.device, body.seq))
    return Response(status_code=204)


@router.post("/v1/reads", status_code=204, responses=responses(*_MINE, "cursor_invalid", "unknown_user"))
async def mark_read(body: ReadUpTo, caller: Caller, collaborators: With) -> Response:
    """Mark everything from `peer` up to `seq` as read."""
    await collaborators.signals.mark_read(caller, body.peer, body.seq)
    return Response(status_code=204)


@router.post("/v1/typing", status_code=204, responses=responses(*_MINE, "unknown_user"))
async def typing(body: TypingTo, caller: Caller, collaborators: With) -> Response:
    """Show `peer`, if online, that the caller is typing; never stored."""
    wait = collaborators.limits.wait_s("typing", caller.device, collaborators.clock())
    if wait > 0:
        raise limited("typing", wait)
    await collaborators.signals.typing(caller, body.peer, body.state)
    return Response(status_code=204)


def _position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not _DIGITS.fullmatch(cursor) or int(cursor) >= SEQ_LIMIT:
        raise RoostError("cursor_invalid", "cursor is not a position in this mailbox.")
    return int(cursor)
