"""The live picture of the system, for operators' pages."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel

from api.http.dependencies import With
from api.http.event_stream import EventStream
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.ops import stream as bodies
from api.http.schemas.ops.events import Event
from api.http.scopes import Observer

router = APIRouter(route_class=ApiRoute, tags=["admin"])

_EXAMPLE: Final = """event: hello
data: {"server_name": "example.org", "release": "0.1.0", "history_s": 900, "step_s": 2}

event: figures
data: {"at_ms": 1795000002000, "values": {"accepted_per_s": 12.5}, "roles": {"host-1": {"cpu": 0.04}}}

"""
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Server-sent events: `hello`, `history`, `state`, the last of `event`; then `figures` "
        "every two seconds, `event`, `state` and `operation` as they come, and `away` while the coordinator "
        "does not answer; `bye` is the last. The data of each is one line of JSON, as the schema "
        "`Stream_` and its name says.",
        "content": {
            EventStream.media_type: {"schema": {"type": "string"}, "example": _EXAMPLE},
        },
    },
}

_BODIES: Final[dict[str, type[BaseModel]]] = {
    "hello": bodies.Hello,
    "history": bodies.History,
    "state": bodies.State,
    "figures": bodies.Figures,
    "event": Event,
    "operation": bodies.OperationProgress,
    "away": bodies.Away,
    "bye": bodies.Bye,
}


@router.get(
    "/admin/v1/stream",
    status_code=200,
    response_class=EventStream,
    responses=_EVENTS | responses("unauthenticated", "revoked", "forbidden", "rate_limited", "unavailable"),
)
async def stream(caller: Observer, collaborators: With) -> EventStream:
    """Follow figures, machines, roles, alarms, operations and the line of events, as they come."""
    return EventStream(collaborators, caller)


def schemas() -> dict[str, Any]:
    """Return the schema of the data of each event, by its name in the API document."""
    found: dict[str, Any] = {}
    for event, body in _BODIES.items():
        schema = body.model_json_schema(ref_template="#/components/schemas/Stream{model}")
        found |= {f"Stream{name}": inner for name, inner in schema.pop("$defs", {}).items()}
        found[f"Stream_{event}"] = schema
    return found
