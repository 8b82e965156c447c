"""Sending over HTTP, and the state of a message."""

from typing import Any

import msgspec
from fastapi import APIRouter, Response

from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.mailboxes import AcceptedMessage, MessageState, NewMessage
from api.identity.limits import limited
from roost import wire
from roost.errors import RoostError
from roost.ids import uuid7_ms

router = APIRouter(route_class=ApiRoute, tags=["messages"])
_MINE = ("unauthenticated", "revoked", "rate_limited")


@router.post(
    "/v1/messages",
    status_code=202,
    response_model=AcceptedMessage,
    responses=responses(*_MINE, "unknown_user", "device_mismatch", "id_reused", "id_expired"),
)
async def send(body: NewMessage, caller: Caller, collaborators: With) -> Response:
    """Send a message. It is durable once answered; the same id again gets the same answer."""
    wait = collaborators.limits.wait_s("sends", caller.device, collaborators.clock())
    if wait > 0:
        raise limited("sends", collaborators.sender.gate.limit(caller.device, wait))
    frame = wire.Send(
        body.id,
        body.to,
        body.sent_at_ms,
        body.suite,
        _decoded("payloads", body.payloads),
        body.urgent,
        body.expires_in_s,
        None if body.own is None else _decoded("own", body.own),
        body.silent,
    )
    answer = await collaborators.sender.send(caller, frame)
    return _json({"id": body.id, "seq": answer.seq, "accepted_at_ms": answer.accepted_at_ms}, 202)


@router.get(
    "/v1/messages/{id}",
    response_model=MessageState,
    responses=responses(*_MINE, "unknown_message", "unknown_user"),
)
async def message_state(id: str, caller: Caller, collaborators: With, to: str | None = None) -> Response:  # noqa: A002 -- the contract's name
    """Return the sender's view of a message. `to`, if known, makes the look-up cheaper."""
    await collaborators.limits.check("lookups", caller.device)
    try:
        uuid7_ms(id)
    except ValueError as exc:
        raise RoostError("unknown_message", "A message id must be a UUIDv7.") from exc
    return _json(await collaborators.tracker.state(caller, id, to), 200)


def _decoded(member: str, payloads: dict[str, str]) -> dict[str, bytes]:
    try:
        return {device: wire.from_base64(text) for device, text in payloads.items()}
    except ValueError as exc:
        raise RoostError("invalid", f"body.{member}: {exc}.") from exc


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
