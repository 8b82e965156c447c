"""Password changes, the end of one's other sessions, and challenges to log in with a device's key."""

from fastapi import APIRouter, Request, Response

from api.http.dependencies import Caller, With, check_address, network_of
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.credentials import Challenge, ChallengeRequest, PasswordChange
from api.identity.challenges import TTL_S
from api.identity.log_ins import folded_or_raw

router = APIRouter(route_class=ApiRoute, tags=["accounts"])
_MINE = ("unauthenticated", "revoked", "rate_limited")


@router.post("/v1/auth/challenge", responses=responses("rate_limited"))
async def challenge(body: ChallengeRequest, request: Request, collaborators: With) -> Challenge:
    """Get a `nonce` to log in with a device's key: `POST /v1/sessions` with `nonce` and `signature`.

    `signature`, in base64, is Ed25519 of the device over `roost.auth.v1`, a zero byte, and the canonical JSON
    of `{user, device_id, nonce, server}`. Whether there is such a user or device makes no difference here.
    """
    await check_address(collaborators, "challenges_by_address", request)
    nonce = await collaborators.challenges.give(folded_or_raw(body.username), body.device_id)
    return Challenge(nonce=nonce, expires_in=TTL_S)


@router.put("/v1/me/password", status_code=204, responses=responses(*_MINE, "bad_credentials"))
async def change_password(
    body: PasswordChange, request: Request, caller: Caller, collaborators: With
) -> Response:
    """Change the password. Other sessions end, unless `keep_sessions`."""
    # By session: whoever holds a stolen token cannot keep the owner from it.
    await collaborators.limits.check("password_changes", caller.family)
    await collaborators.log_ins.change_password(caller, body.old, body.new, network_of(request))
    if not body.keep_sessions:
        await collaborators.sessions.end(caller.user, None, keep=caller)
    return Response(status_code=204)


@router.delete("/v1/sessions", status_code=204, responses=responses(*_MINE))
async def end_other_sessions(caller: Caller, collaborators: With) -> Response:
    """End every session of the user but this one; their devices need the password to come back."""
    await collaborators.sessions.end(caller.user, None, keep=caller)
    return Response(status_code=204)
