"""Blocks: a blocked sender gets the usual answers, and nothing is delivered."""

from fastapi import APIRouter, Response

from actors.rpc import questions as q
from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.users import BlockList
from api.identity.tokens import Principal
from roost.errors import RoostError

router = APIRouter(route_class=ApiRoute, tags=["blocks"])
_MINE = ("unauthenticated", "revoked", "rate_limited")


@router.get("/v1/blocks", responses=responses(*_MINE))
async def list_blocks(caller: Caller, collaborators: With) -> BlockList:
    """List the users whom the caller has blocked."""
    blocks = (await collaborators.store.accounts.blocks_of([caller.user])).get(caller.user, [])
    return BlockList(blocks=sorted(block.peer_name for block in blocks if block.until_seq is None))


@router.put("/v1/blocks/{username}", status_code=204, responses=responses(*_MINE, "unknown_user"))
async def block(username: str, caller: Caller, collaborators: With) -> Response:
    """Block a user. It applies to everything that arrives after the answer."""
    await _set(username, caller, collaborators, blocked=True)
    return Response(status_code=204)


@router.delete("/v1/blocks/{username}", status_code=204, responses=responses(*_MINE, "unknown_user"))
async def unblock(username: str, caller: Caller, collaborators: With) -> Response:
    """Unblock a user."""
    await _set(username, caller, collaborators, blocked=False)
    return Response(status_code=204)


async def _set(username: str, caller: Principal, collaborators: Collaborators, *, blocked: bool) -> None:
    person = await collaborators.directory.known(username)
    if person.user == caller.user:
        raise RoostError("invalid", "You cannot block yourself.")
    question = q.SetBlock(0, caller.user, person.user, person.username, blocked)
    await collaborators.hosts.change(caller.user, question)
