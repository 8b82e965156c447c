"""The live trace: a user's messages on their way through all roles, for the operator who watches.

Roles keep nothing unless someone watches, and then in memory and for minutes. Only who began to watch, which
is in the audit log, is shown what was seen.
"""

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from api.collaborators import Collaborators
from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.ops.traces import Hop, Hops, Watch, Watching
from api.http.scopes import Operator
from api.http.waiting import while_connected
from api.identity.tokens import Principal
from api.ops.roles import Told, ask
from api.routes.ops.users import account_of
from cluster.operations.witness import Witness
from cluster.ops.questions import EVERY
from storage.account_rows import User

router = APIRouter(route_class=ApiRoute, tags=["admin"])
_MINE = ("unauthenticated", "revoked", "forbidden", "rate_limited")
_LOOK_EVERY_S = 1.0


@router.post("/admin/v1/traces", responses=responses(*_MINE, "unknown_user"))
async def watch(body: Watch, caller: Operator, collaborators: With) -> Watching:
    """Watch a user's messages for up to five minutes.

    A role that is replaced meanwhile watches on as soon as the trace is looked at again.
    """
    account = await account_of(collaborators, body.username)
    witness, by = Witness(collaborators.store.audit, collaborators.clock), _by(caller)
    async with witness.around(by, "user.trace", f"{account.username} {body.for_s} s"):
        told = await ask(collaborators.control_plane, EVERY, _arm(account, by, body.for_s))
    return Watching(
        username=account.username,
        until_ms=collaborators.clock() + body.for_s * 1000,
        roles=sorted(name for name, armed in told.answers.items() if armed),
        away=sorted([*told.away, *(name for name, armed in told.answers.items() if not armed)]),
    )


@router.get("/admin/v1/traces/{cause}", responses=responses(*_MINE))
async def trace(
    cause: Annotated[str, Path(min_length=1, max_length=64)], caller: Operator, collaborators: With
) -> Hops:
    """Return what was seen of one message, by its id, of a user whom the caller watches."""
    return _hops(await _asked(collaborators, caller, "", cause))


@router.get("/admin/v1/users/{username}/trace", responses=responses(*_MINE, "unknown_user"))
async def traces_of(
    username: str,
    request: Request,
    caller: Operator,
    collaborators: With,
    wait_s: Annotated[
        float, Query(ge=0, le=30, description="Long poll: wait this long for something new.")
    ] = 0,
) -> Hops:
    """Return what was seen of a user's messages so far, after something new or after the wait."""
    account = await account_of(collaborators, username)
    async with collaborators.revocations.unless_ended(caller.family):
        waiting = _news(collaborators, caller, account, wait_s)
        return await (while_connected(request, waiting) if wait_s else waiting)


async def _news(collaborators: Collaborators, caller: Principal, account: User, wait_s: float) -> Hops:
    """Return what was seen as soon as there is more of it than at first, or the wait or the watch is over."""
    deadline = time.monotonic() + wait_s
    first = found = await _looked(collaborators, caller, account)
    while found.until_ms and found.hops[-1:] == first.hops[-1:] and time.monotonic() < deadline:
        await asyncio.sleep(min(_LOOK_EVERY_S, max(0.0, deadline - time.monotonic())))
        found = await _looked(collaborators, caller, account)
    return found


async def _looked(collaborators: Collaborators, caller: Principal, account: User) -> Hops:
    """Return what was seen, and have roles that began after the watch did watch for the rest of it."""
    told = await _asked(collaborators, caller, account.user_id, "")
    found = _hops(told)
    left_s = (found.until_ms - collaborators.clock()) / 1000
    new = [name for name, of_one in told.answers.items() if not of_one["until_ms"]]
    if left_s > 0 and new:
        say = _arm(account, _by(caller), left_s)
        await asyncio.gather(*(ask(collaborators.control_plane, name, say) for name in new))
    return found


async def _asked(collaborators: Collaborators, caller: Principal, user: str, cause: str) -> Told:
    say = {"act": "hops", "by": _by(caller), "user": user, "cause": cause}
    return await ask(collaborators.control_plane, EVERY, say)


def _hops(told: Told) -> Hops:
    hops = [
        Hop(at_ms=at_ms, role=name.rpartition("-")[0], name=name, step=step, cause=of_message, detail=detail)
        for name, of_one in told.answers.items()
        for at_ms, step, of_message, detail in of_one["hops"]
    ]
    hops.sort(key=lambda hop: hop.at_ms)
    return Hops(until_ms=max((of_one["until_ms"] for of_one in told.answers.values()), default=0), hops=hops)


def _arm(account: User, by: str, for_s: float) -> dict[str, Any]:
    return {"act": "trace", "user": account.user_id, "name": account.username, "by": by, "for_s": for_s}


def _by(caller: Principal) -> str:
    return f"user:{caller.username}"
