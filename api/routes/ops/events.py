"""The line of events, further back than the stream begins."""

from typing import Annotated

from fastapi import APIRouter, Query
from msgspec import to_builtins

from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.ops.events import Event, Events
from api.http.scopes import Observer

router = APIRouter(route_class=ApiRoute, tags=["admin"])

Before = Annotated[int, Query(ge=0, lt=2**53, description="`n` of an event: those before it. 0: the newest.")]
Limit = Annotated[int, Query(ge=1, le=1_000)]


@router.get(
    "/admin/v1/events",
    response_model_exclude_defaults=True,
    responses=responses("unauthenticated", "revoked", "forbidden", "rate_limited", "unavailable"),
)
async def events(_caller: Observer, collaborators: With, before: Before = 0, limit: Limit = 100) -> Events:
    """Return restarts, moves, operations, acts and alarms, the newest first."""
    found = await collaborators.store.events.newest(limit + 1, before)
    return Events(events=[Event(**to_builtins(each)) for each in found[:limit]], more=len(found) > limit)
