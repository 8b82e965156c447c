"""Accounts, sessions, profile and the public signing keys."""

import uuid
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.dependencies import Caller, With, check_address, network_of
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.accounts import Account, LogIn, NewAccount, Profile, ProfileChange, RefreshRequest
from api.http.schemas.accounts import Granted as GrantedBody
from api.identity.log_ins import Entrance, folded_or_raw
from api.identity.sessions import Granted
from roost.errors import RoostError
from roost.ids import fold_username
from roost.signing import read_key
from storage.account_rows import User

router = APIRouter(route_class=ApiRoute, tags=["accounts"])


@router.post("/v1/accounts", status_code=201, responses=responses("username_taken", "rate_limited"))
async def create_account(body: NewAccount, request: Request, collaborators: With) -> Account:
    """Create an account."""
    try:
        username = fold_username(body.username)
    except ValueError as exc:
        raise RoostError("invalid", f"body.username: {exc}.") from exc
    await check_address(collaborators, "accounts_by_address", request)
    collaborators.passwords.check_new(body.password, username)
    if await collaborators.store.accounts.user_by_name(username) is not None:
        raise RoostError("username_taken", f"The username {username!r} is taken; choose another.")
    if await collaborators.store.erasures.is_reserved(username):
        raise RoostError("username_taken", f"The username {username!r} is taken; choose another.")
    user = User(
        user_id=str(uuid.uuid4()),
        username=username,
        password_hash=await collaborators.passwords.hash(body.password, network_of(request)),
        display_name=body.display_name or username,
        created_at_ms=collaborators.clock(),
        phone=body.phone,
        email=body.email,
    )
    if not await collaborators.store.accounts.add_user(user):
        raise RoostError("username_taken", f"The username {username!r} is taken; choose another.")
    return Account(user_id=user.user_id, username=username)


@router.post(
    "/v1/sessions",
    status_code=201,
    responses=responses("bad_credentials", "revoked", "unknown_device", "key_conflict", "rate_limited"),
)
async def log_in(body: LogIn, request: Request, collaborators: With) -> GrantedBody:
    """Log in, with a new device or a known one; with the password or, on a known device, with its key.

    A device whose session someone has ended (not time) needs the password: its key alone gets `revoked`.
    """
    username = folded_or_raw(body.username)
    await check_address(collaborators, "logins_by_address", request)
    user = await collaborators.store.accounts.user_by_name(username)
    log_ins, entrance = collaborators.log_ins, _entrance(body)
    if body.password is None or await log_ins.device_of(user, body.device_id) is not None:
        # Who guesses from elsewhere must not lock out somebody on their own device.
        device = f"{username}|{body.device_id}|{network_of(request)}"
        await collaborators.limits.check("logins_by_device", device)
    else:
        await collaborators.limits.check("logins_by_user", username)
    if body.password is None:
        nonce, signature = body.nonce or "", body.signature or ""
        return _body(await log_ins.with_device_key(username, user, entrance, nonce, signature))
    return _body(await log_ins.with_password(user, body.password, entrance, network_of(request)))


@router.post(
    "/v1/sessions/refresh",
    responses=responses("unauthenticated", "token_reused", "revoked", "invalid_signature", "rate_limited"),
)
async def refresh(body: RefreshRequest, collaborators: With) -> GrantedBody:
    """Rotate the refresh token. After a lost reply, repeat the call with the old token.

    A session that was begun with `signed_refresh` needs `signature`, in base64: Ed25519 of the device over
    `roost.refresh.v1`, a zero byte and the refresh token.
    """
    family = body.refresh_token.split(".")[1:2]
    await collaborators.limits.check("refreshes", family[0] if family else "")
    return _body(await collaborators.sessions.refresh(body.refresh_token, body.signature))


@router.delete(
    "/v1/sessions/current", status_code=204, responses=responses("unauthenticated", "revoked", "rate_limited")
)
async def log_out(caller: Caller, collaborators: With) -> Response:
    """End this device's session on every gateway and remove its push token."""
    await collaborators.sessions.end(caller.user, caller.device)
    return Response(status_code=204)


@router.get("/.well-known/jwks.json")
async def signing_keys(collaborators: With) -> dict[str, Any]:
    """Return the keys that verify access tokens."""
    return collaborators.keyring.public_jwks()


@router.get("/v1/me", responses=responses("unauthenticated", "revoked", "rate_limited"))
async def my_profile(caller: Caller, collaborators: With) -> Profile:
    """Return the caller's profile and settings."""
    user = (await collaborators.store.accounts.users_by_id([caller.user])).get(caller.user)
    if user is None:
        raise RoostError("revoked", "This account no longer exists.")
    return _profile(user, caller.device)


@router.patch("/v1/me", responses=responses("unauthenticated", "revoked", "rate_limited"))
async def change_profile(body: ProfileChange, caller: Caller, collaborators: With) -> Profile:
    """Change the caller's profile and settings; omitted fields are left unchanged."""
    changes = body.model_dump(exclude_none=True)
    if not changes:
        return await my_profile(caller, collaborators)
    user = await collaborators.store.accounts.update_profile(caller.user, changes)
    if user is None:
        raise RoostError("revoked", "This account no longer exists.")
    await collaborators.invalidation.user_changed(caller.user)
    return _profile(user, caller.device)


def _entrance(body: LogIn) -> Entrance:
    return Entrance(
        device_id=body.device_id,
        name=body.device.name if body.device is not None else "",
        signing_key=None if body.signing_key is None else read_key(body.signing_key),
        signed=body.signed_refresh,
    )


def _body(granted: Granted) -> GrantedBody:
    return GrantedBody(
        access_token=granted.access_token,
        token_type="Bearer",  # noqa: S106 -- its fixed value
        expires_in=granted.expires_in,
        refresh_token=granted.refresh_token,
        user_id=granted.principal.user,
        username=granted.principal.username,
        device_id=granted.principal.device,
    )


def _profile(user: User, device: str) -> Profile:
    return Profile(
        user_id=user.user_id,
        username=user.username,
        device_id=device,
        display_name=user.display_name,
        last_seen=user.last_seen,
        read_receipts=user.read_receipts,
        delivery_receipts=user.delivery_receipts,
        requests=user.requests,
        created_at_ms=user.created_at_ms,
        phone=user.phone,
        email=user.email,
    )
