"""People's rights over their data: the export of everything, and the erasure of an account."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from fastapi.responses import StreamingResponse

from api.http.dependencies import Caller, With, network_of
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.accounts import ErasureAsked, Leave
from roost.errors import RoostError
from storage.account_rows import Erasure
from storage.export import export_of

router = APIRouter(route_class=ApiRoute, tags=["accounts"])
_MINE = ("unauthenticated", "revoked", "rate_limited")


@router.delete("/v1/me", status_code=202, responses=responses(*_MINE, "bad_credentials"))
async def leave(
    body: Annotated[Leave, Body()], request: Request, caller: Caller, collaborators: With
) -> ErasureAsked:
    """Have the account erased after a grace time, until which a log-in keeps it.

    All sessions end now, this one included. Messages that were sent stay with those who received them.
    """
    # Guesses with a stolen token do not lock the owner out elsewhere.
    place = f"{caller.username}|{caller.device}|{network_of(request)}"
    await collaborators.limits.check("logins_by_device", place)
    user = (await collaborators.store.accounts.users_by_id([caller.user])).get(caller.user)
    hashed = user.password_hash if user is not None else None
    if not await collaborators.passwords.verify(hashed, body.password, network_of(request)):
        raise RoostError("bad_credentials", "The password is wrong.")
    now, grace_ms = collaborators.clock(), collaborators.settings.erase_after_s * 1000
    asked = Erasure(caller.user, caller.username, "asked", now, now + grace_ms)
    erasure = await collaborators.store.erasures.ask(asked)
    await collaborators.sessions.end(caller.user, None)
    return ErasureAsked(erased_at_ms=erasure.due_at_ms)


@router.get("/v1/me/export", response_class=StreamingResponse, responses=responses(*_MINE, "unavailable"))
async def export(caller: Caller, collaborators: With) -> StreamingResponse:
    """Return everything that the server holds on the caller, as one JSON document.

    Payloads are as they came: encrypted, in base64, by device. Secrets are left out: hashes of the password
    and of tokens. What came in the last second may be missing.
    """
    await collaborators.limits.check("exports", caller.user)
    user = (await collaborators.store.accounts.users_by_id([caller.user])).get(caller.user)
    if user is None:
        raise RoostError("revoked", "This account no longer exists.")
    name = f'attachment; filename="roost-{caller.username}.json"'
    return StreamingResponse(
        export_of(collaborators.store, user, collaborators.clock),
        media_type="application/json",
        headers={"Content-Disposition": name},
    )
