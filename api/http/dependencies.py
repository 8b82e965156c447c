"""FastAPI dependencies of the routes: the collaborators, and the authenticated caller."""

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.collaborators import Collaborators
from api.identity.limits import limited
from api.identity.tokens import Principal
from roost.errors import RoostError

_bearer = HTTPBearer(auto_error=False, description="An access token from `POST /v1/sessions`.")


async def collaborators_of(request: Request) -> Collaborators:
    """Return the collaborators that the application was made with."""
    return cast("Collaborators", request.app.state.collaborators)


With = Annotated[Collaborators, Depends(collaborators_of)]


async def caller_of(
    collaborators: With, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """Return who calls.

    Raises:
        RoostError: ``unauthenticated``, ``revoked`` or ``rate_limited``.
    """
    if credentials is None:
        raise RoostError("unauthenticated", "Send an 'Authorization: Bearer ACCESS_TOKEN' header.")
    principal = collaborators.tokens.verify(credentials.credentials)
    collaborators.revocations.check(principal.family)
    wait = collaborators.limits.wait_s("requests", principal.device, collaborators.clock())
    if wait > 0:
        raise limited("requests", wait)
    return principal


Caller = Annotated[Principal, Depends(caller_of)]


def address_of_client(request: Request) -> str:
    """Return the IP address of the connection; headers that anybody can write are not asked."""
    return request.client.host if request.client is not None else "-"
