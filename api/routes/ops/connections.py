"""The connections of all gateways: the slow, the big, the old and the displaced; and the hottest users."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from api.collaborators import Collaborators
from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.ops.connections import (
    ConnectionList,
    ConnectionState,
    DisplacedStream,
    HotUser,
    HotUsers,
)
from api.http.scopes import Observer, Operator
from api.ops.roles import Told, ask, ask_one
from cluster.operations.witness import Witness
from roost.errors import RoostError

router = APIRouter(route_class=ApiRoute, tags=["admin"])
_MINE = ("unauthenticated", "revoked", "forbidden", "rate_limited")
_Limit = Annotated[int, Query(ge=1, le=200)]
_Waits = dict[tuple[str, str], tuple[int, int]]
"""By user and device: since when it acknowledges nothing, or 0; and how many entries it owes."""


@router.get("/admin/v1/connections", responses=responses(*_MINE))
async def connections(
    _caller: Observer,
    collaborators: With,
    order: Annotated[
        Literal["slow", "big", "displaced", "old"],
        Query(
            description="`slow`: those that acknowledge or read nothing for the longest; `big`: with the "
            "most unread bytes; `displaced`: of devices whose connections displace each other; `old`: the "
            "oldest."
        ),
    ] = "slow",
    limit: _Limit = 50,
) -> ConnectionList:
    """Return connections of all gateways; nothing is gathered for it while no one asks."""
    plane, now = collaborators.control_plane, collaborators.clock()
    slowest: _Waits = {}
    if order == "slow":
        slowest = _waits(await ask(plane, "host", {"act": "waiting", "limit": limit, "users": []}))
    say = {"act": "connections", "order": order, "limit": limit, "devices": list(slowest)}
    told = await ask(plane, "gateway", say)
    rows = [row for of_one in told.answers.values() for row in of_one["connections"]]
    users = sorted({row["user"] for row in rows})
    waits = _waits(await ask(plane, "host", {"act": "waiting", "limit": 0, "users": users}))
    shown = [_shown(row, waits.get((row["user"], row["device_id"])), now) for row in rows]
    shown.sort(key=lambda row: _rank(row, order))
    displaced = [
        DisplacedStream(gateway=gateway, **each)
        for gateway, of_one in told.answers.items()
        for each in of_one["displaced"]
    ]
    displaced.sort(key=lambda each: -each.at_ms)
    return ConnectionList(
        connections=shown[:limit], recently_displaced=displaced[:limit], away=sorted(told.away)
    )


@router.delete(
    "/admin/v1/connections/{connection_id}", status_code=204, responses=responses(*_MINE, "not_found")
)
async def close(
    connection_id: Annotated[str, Path(pattern=r"^gateway-\d{1,9}:\d{1,19}:\d{1,19}$")],
    caller: Operator,
    collaborators: With,
) -> Response:
    """Close a connection with a code after which its client connects again; nothing is lost by it."""
    gateway = connection_id.partition(":")[0]
    witness = Witness(collaborators.store.audit, collaborators.clock)
    act = (f"user:{caller.username}", "connection.close")
    await witness.requested(*act, connection_id)
    outcome = "failed"
    try:
        whose = await ask_one(collaborators.control_plane, gateway, {"act": "close", "id": connection_id})
        outcome = "done" if whose else "failed: it is gone"
    finally:
        await witness.over(*act, connection_id, outcome)
    if not whose:
        raise RoostError("not_found", "There is no such connection; it may have ended meanwhile.")
    return Response(status_code=204)


@router.get("/admin/v1/hot", responses=responses(*_MINE))
async def hot(_caller: Observer, collaborators: With, limit: _Limit = 20) -> HotUsers:
    """Return the users who were given the most messages lately, by the numbers of their mailboxes."""
    told = await ask(collaborators.control_plane, "host", {"act": "hot", "limit": limit})
    now = collaborators.clock()
    found = [
        (user, count, host, of_one["since_ms"])
        for host, of_one in told.answers.items()
        for user, count in of_one["users"]
    ]
    found.sort(key=lambda each: -each[1])
    names = await _names(collaborators, [user for user, *_ in found[:limit]])
    return HotUsers(
        users=[
            HotUser(
                user_id=user,
                username=names.get(user, user),
                host=host,
                count=count,
                per_s=round(count * 1000 / max(1, now - since_ms), 2),
            )
            for user, count, host, since_ms in found[:limit]
        ],
        since_ms=min((of_one["since_ms"] for of_one in told.answers.values()), default=now),
    )


async def _names(collaborators: Collaborators, ids: list[str]) -> dict[str, str]:
    users = await collaborators.store.accounts.users_by_id(ids, opened=False)
    return {user_id: user.username for user_id, user in users.items()}


def _waits(told: Told) -> _Waits:
    return {
        (user, device): (since_ms, unacknowledged)
        for of_one in told.answers.values()
        for user, device, since_ms, unacknowledged in of_one["streams"]
    }


def _shown(row: dict[str, Any], wait: tuple[int, int] | None, now: int) -> ConnectionState:
    since_ms, unacknowledged = (None, None) if wait is None else wait
    age = None if since_ms is None else max(0, now - since_ms) if since_ms else 0
    row = {name: value for name, value in row.items() if name != "user"}
    return ConnectionState(**row, unacknowledged=unacknowledged, oldest_unacknowledged_ms=age)


def _rank(row: ConnectionState, order: str) -> int:
    """Return what the smallest of comes first."""
    if order == "slow":
        return -max(row.stuck_ms, row.oldest_unacknowledged_ms or 0)
    return -row.queued_bytes if order == "big" else row.since_ms
