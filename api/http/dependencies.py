"""FastAPI dependencies of the routes: the collaborators, and the authenticated caller."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from api.collaborators import Collaborators
from api.identity.client_address import parse_address
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


def check_still(request: Request) -> None:
    """Check that the caller's session has not ended since `authenticate`; raises ``revoked`` if it has."""
    collaborators: Collaborators = request.app.state.collaborators
    collaborators.revocations.check(request.scope["caller"].family)


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


def network_of(request: Request) -> str:
    """Return whose connection it is: the IPv4 address, or the IPv6 network of 64 bits, which one party has.

    The middleware has put the client's address in the place of a trusted proxy's.
    """
    address = _address_of(request)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address or "-")


async def check_address(collaborators: Collaborators, limiter: str, request: Request) -> None:
    """Take a token of the limiter for where the connection is from; this machine has one of its own.

    Raises:
        RoostError: ``rate_limited``.
    """
    address = _address_of(request)
    if address is not None and address.is_loopback:
        await collaborators.limits.check("this_machine", limiter)
    else:
        await collaborators.limits.check(limiter, network_of(request))


def _address_of(request: Request) -> IPv4Address | IPv6Address | None:
    return parse_address(request.client.host if request.client is not None else None)
