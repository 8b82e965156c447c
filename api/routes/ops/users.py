"""One user, as operators see them: devices, sessions, what waits, and where; every look is written down."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from actors.user.events import Item
from actors.user.view import at_ms_of, to_wire
from api.collaborators import Collaborators
from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.ops.users import (
    DeviceState,
    LimitState,
    PushState,
    SessionState,
    StreamState,
    UserState,
)
from api.http.scopes import Observer, Operator
from api.identity.directory import folded
from api.ops.roles import ask, ask_one
from api.routes.ops.limits_left import limits_left
from cluster.operations.witness import Witness
from roost.errors import RoostError, Unavailable
from roost.ids import SEQ_LIMIT, shard_of
from storage.account_rows import Device, TokenFamily, User
from storage.audit_chain import Act
from storage.records import decode_record

router = APIRouter(route_class=ApiRoute, tags=["admin"])
_MINE = ("unauthenticated", "revoked", "forbidden", "rate_limited")
_BACKLOG = 1_000
_PUSHES = 10


@router.get("/admin/v1/users/{username}", responses=responses(*_MINE, "unknown_user"))
async def user(username: str, caller: Observer, collaborators: With) -> UserState:
    """Return a user's devices, sessions and what waits; that they were looked at is in the audit log."""
    account = await account_of(collaborators, username)
    store = collaborators.store
    looked = Act(f"user:{caller.username}", "user.look", account.username, "done")
    await store.audit.append(looked, collaborators.clock())
    devices = (await store.accounts.devices_of([account.user_id])).get(account.user_id, [])
    backlog, oldest_ms = await _backlog(collaborators, account.user_id, devices)
    shard, host = _place(collaborators, account.user_id)
    here = await _at_host(collaborators, account.user_id, host)
    return UserState(
        user_id=account.user_id,
        username=account.username,
        created_at_ms=account.created_at_ms,
        last_seen_ms=account.last_seen_ms,
        scopes=list(account.scopes),
        devices=[_device(each) for each in devices],
        sessions=[_session(each) for each in await store.sessions.living(account.user_id)],
        backlog=backlog,
        oldest_unacknowledged_at_ms=oldest_ms,
        host=host,
        shard=shard,
        online=None if here is None else here["online"],
        streams=None if here is None else [StreamState(**each) for each in here["streams"]],
        pushes=await _pushes(collaborators, account.user_id, devices),
        limits=await _limits(collaborators, account, devices),
    )


@router.delete(
    "/admin/v1/users/{username}/sessions/{device_id}",
    status_code=204,
    responses=responses(*_MINE, "unknown_user", "unknown_device"),
)
async def end_session(
    username: str,
    device_id: Annotated[str, Path(max_length=64)],
    caller: Operator,
    collaborators: With,
) -> Response:
    """End the sessions of a device, which then needs the password; it gets no more wake-ups."""
    account = await account_of(collaborators, username)
    devices = (await collaborators.store.accounts.devices_of([account.user_id])).get(account.user_id, [])
    if all(each.device != device_id for each in devices):
        raise RoostError("unknown_device", f"{account.username} has no such device.")
    witness = Witness(collaborators.store.audit, collaborators.clock)
    what = f"{account.username} {device_id}"
    async with witness.around(f"user:{caller.username}", "session.end", what):
        await collaborators.sessions.end(account.user_id, device_id)
    return Response(status_code=204)


async def account_of(collaborators: Collaborators, username: str) -> User:
    """Return the account of a user that an operator names.

    Raises:
        RoostError: ``unknown_user``.
    """
    account = await collaborators.store.accounts.user_by_name(folded(username))
    if account is None:
        raise RoostError("unknown_user", f"There is no user {username[:64]!r}.")
    return account


async def _backlog(
    collaborators: Collaborators, user_id: str, devices: list[Device]
) -> tuple[dict[str, int], int | None]:
    """Return what each device has not acknowledged, and when the oldest of it was accepted."""
    mailboxes, now = collaborators.store.mailboxes, collaborators.clock()
    cursors = (await mailboxes.cursors_of([user_id])).get(user_id, {})
    at = {each.device: cursors.get(each.device, each.from_seq) for each in devices}
    waiting, oldest_ms = dict.fromkeys(at, 0), None
    lowest = min(at.values(), default=SEQ_LIMIT - 1)
    for document in await mailboxes.range(user_id, lowest, SEQ_LIMIT - 1, _BACKLOG):
        item = Item(document.seq, decode_record(document.record))
        for device, cursor in at.items():
            if item.seq > cursor and to_wire(item, device, cursor, now) is not None:
                waiting[device] += 1
                oldest_ms = oldest_ms or at_ms_of(item.record)
    return waiting, oldest_ms


def _place(collaborators: Collaborators, user_id: str) -> tuple[int | None, str | None]:
    shard_map = collaborators.hosts.shard_map
    if shard_map is None:
        return None, None
    shard = shard_of(user_id, shard_map.shards)
    return shard, shard_map.hosts[shard] or None


async def _at_host(collaborators: Collaborators, user_id: str, host: str | None) -> dict[str, Any] | None:
    if host is None:
        return None
    try:
        found: dict[str, Any] = await ask_one(
            collaborators.control_plane, host, {"act": "user", "user": user_id}
        )
    except RoostError:
        return None  # the page shows the rest, and that this is not known
    return found


async def _pushes(
    collaborators: Collaborators, user_id: str, devices: list[Device]
) -> list[PushState] | None:
    try:
        told = await ask(collaborators.control_plane, "pusher", {"act": "pushes", "user": user_id})
    except Unavailable:
        return None
    provider = {each.device: each.push_provider or "" for each in devices}
    found = [each for of_one in told.answers.values() for each in of_one]
    newest = sorted(found, key=lambda each: -each["at_ms"])[:_PUSHES]
    return [PushState(**each, provider=provider.get(each["device_id"], "")) for each in newest]


async def _limits(collaborators: Collaborators, account: User, devices: list[Device]) -> list[LimitState]:
    there = [each.device for each in devices]
    left = await limits_left(collaborators.limits, collaborators.control_plane, account, there)
    return [LimitState(**each._asdict()) for each in left]


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
