"""For operators: the state of the cluster, and acts on it, each of which the coordinator writes down."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from api.collaborators import Collaborators
from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.admin import Cluster, Drain, Operation, Scale, Undrain
from api.http.scopes import Observer, Operator
from api.identity.tokens import Principal
from roost.errors import RoostError

router = APIRouter(route_class=ApiRoute, tags=["admin"])
_MINE = ("unauthenticated", "revoked", "forbidden", "rate_limited")


@router.get("/admin/v1/cluster", responses=responses(*_MINE))
async def cluster(_caller: Observer, collaborators: With) -> Cluster:
    """Return roles, hosts, shards and lag, as `roost status --json` does."""
    status = await collaborators.control_plane.status()
    return Cluster(
        roles=status["roles"],
        shards=status["shards"],
        map_version=status["map_version"],
        nodes=status["nodes"],
    )


@router.post("/admin/v1/drain", status_code=202, responses=responses(*_MINE))
async def drain(body: Drain, caller: Operator, collaborators: With) -> Operation:
    """Move everything off a machine or a role, as `roost drain` does. It goes on after this answer."""
    return await _begun(collaborators, caller, "drain", body.target)


@router.post("/admin/v1/undrain", status_code=202, responses=responses(*_MINE))
async def undrain(body: Undrain, caller: Operator, collaborators: With) -> Operation:
    """Allow roles on a drained machine again, as `roost undrain` does. It goes on after this answer."""
    return await _begun(collaborators, caller, "undrain", body.target)


@router.post("/admin/v1/upgrade", status_code=202, responses=responses(*_MINE))
async def upgrade(caller: Operator, collaborators: With) -> Operation:
    """Replace every process by one of the installed release, as `roost upgrade` does, one by one.

    The coordinator comes last: some seconds after this operation is done it restarts, and then knows none.
    """
    return await _begun(collaborators, caller, "upgrade", True)  # noqa: FBT003 -- as on the command line


@router.post("/admin/v1/scale", status_code=202, responses=responses(*_MINE))
async def scale(body: Scale, caller: Operator, collaborators: With) -> Operation:
    """Change the number of roles, or add shards, as `roost scale` does. It goes on after this answer."""
    if "shards" not in body.counts:
        return await _begun(collaborators, caller, "scale", body.counts)
    if len(body.counts) > 1:
        raise RoostError("invalid", "body.counts: shards are added by a request of their own.")
    return await _begun(collaborators, caller, "grow", body.counts["shards"])


@router.get("/admin/v1/operations/{number}", responses=responses(*_MINE))
async def operation(
    number: Annotated[int, Path(ge=0, lt=2**53)], _caller: Observer, collaborators: With
) -> Operation:
    """Return how far an operation is that was begun since the coordinator started."""
    return await _progress(collaborators, number)


async def _begun(collaborators: Collaborators, caller: Principal, act: str, what: Any) -> Operation:
    message = {"act": act, "what": what, "by": f"user:{caller.username}"}
    if act == "upgrade":
        message["restart"] = True
    number = (await _told(collaborators, message))["number"]
    return await _progress(collaborators, number)


async def _progress(collaborators: Collaborators, number: int) -> Operation:
    found = await _told(collaborators, {"act": "operation", "number": number})
    return Operation(
        number=number,
        done=found["done"],
        stage=found["stage"],
        lines=found["lines"],
        failure=found["failure"],
    )


async def _told(collaborators: Collaborators, message: dict[str, Any]) -> dict[str, Any]:
    answer = await collaborators.control_plane.tell(message)
    if "refused" in answer:
        raise RoostError("invalid", answer["refused"])
    return answer
