"""For operators: the state of the cluster, and acts on it, each of which the coordinator writes down."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from api.collaborators import Collaborators
from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.admin import Cluster, DeviceState, Drain, Operation, Scale, SessionState, UserState
from api.http.scopes import Observer, Operator
from api.identity.directory import folded
from api.identity.tokens import Principal
from roost.errors import RoostError
from storage.audit_chain import Act
from storage.records import Device, TokenFamily

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


@router.get("/admin/v1/users/{username}", responses=responses(*_MINE, "unknown_user"))
async def user(username: str, caller: Observer, collaborators: With) -> UserState:
    """Return a user's devices and sessions; that they were looked at is written into the audit log."""
    store = collaborators.store
    account = await store.accounts.user_by_name(folded(username))
    if account is None:
        raise RoostError("unknown_user", f"There is no user {username[:64]!r}.")
    looked = Act(f"user:{caller.username}", "user.look", account.username, "done")
    await store.audit.append(looked, collaborators.clock())
    devices = (await store.accounts.devices_of([account.user_id])).get(account.user_id, [])
    return UserState(
        user_id=account.user_id,
        username=account.username,
        created_at_ms=account.created_at_ms,
        last_seen_ms=account.last_seen_ms,
        scopes=list(account.scopes),
        devices=[_device(each) for each in devices],
        sessions=[_session(each) for each in await store.sessions.living(account.user_id)],
    )


@router.post("/admin/v1/drain", status_code=202, responses=responses(*_MINE))
async def drain(body: Drain, caller: Operator, collaborators: With) -> Operation:
    """Move everything off a machine or a role, as `roost drain` does. It goes on after this answer."""
    return await _begun(collaborators, caller, "drain", body.target)


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
    number: Annotated[int, Path(ge=0, lt=2**31)], _caller: Observer, collaborators: With
) -> Operation:
    """Return how far an operation is that was begun since the coordinator started."""
    return await _progress(collaborators, number)


async def _begun(collaborators: Collaborators, caller: Principal, act: str, what: Any) -> Operation:
    message = {"act": act, "what": what, "by": f"user:{caller.username}"}
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


def _device(device: Device) -> DeviceState:
    return DeviceState(
        device_id=device.device,
        created_at_ms=device.created_at_ms,
        has_keys=device.keys is not None,
        push=device.push_token is not None,
        signed_out=device.signed_out,
    )


def _session(session: TokenFamily) -> SessionState:
    return SessionState(
        device_id=session.device,
        created_at_ms=session.created_at_ms,
        used_at_ms=session.used_at_ms,
        expires_at_ms=session.expires_at_ms,
        signed_refresh=session.signed,
    )
