"""FastAPI dependencies of the routes: the collaborators, and the authenticated caller."""

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from api.collaborators import Collaborators
from api.identity.limits import limited
from api.identity.tokens import Principal
from roost.errors import RoostError


async def collaborators_of(request: Request) -> Collaborators:
    """Return the collaborators that the application was made with."""
    return cast("Collaborators", request.app.state.collaborators)


With = Annotated[Collaborators, Depends(collaborators_of)]


def authenticate(request: Request) -> None:
    """Find out who calls, for `caller_of`.

    Raises:
        RoostError: ``unauthenticated``, ``revoked`` or ``rate_limited``.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise RoostError("unauthenticated", "Send an 'Authorization: Bearer ACCESS_TOKEN' header.")
    collaborators: Collaborators = request.app.state.collaborators
    principal = collaborators.tokens.verify(token.strip())
    collaborators.revocations.check(principal.family)
    wait = collaborators.limits.wait_s("requests", principal.device, collaborators.clock())
    if wait > 0:
        raise limited("requests", wait)
    request.scope["caller"] = principal


class _CallerOf(SecurityBase):
    """Hands out who calls, and says in the API document how callers show it."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(description="An access token from `POST /v1/sessions`.")
        self.scheme_name = "HTTPBearer"

    async def __call__(self, request: Request) -> Principal:
        """Return who calls: `api.http.routing.ApiRoute` has asked before it read the body."""
        return cast("Principal", request.scope["caller"])


caller_of = _CallerOf()
Caller = Annotated[Principal, Depends(caller_of)]


def address_of_client(request: Request) -> str:
    """Return the IP address of the connection; headers that anybody can write are not asked."""
    return request.client.host if request.client is not None else "-"
