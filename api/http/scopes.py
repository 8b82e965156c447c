"""Routes for operators: the caller's scopes, as the token names them and as the account has them *now*.

A token lives on for minutes after its scope was taken away: the account is read with each of these calls, of
which there are few.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request

from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.identity.tokens import Principal
from roost.errors import RoostError
from storage.audit_chain import Act

LOOKING: Final = ("admin", "observer")
"""Scopes, one of which it takes to look at the cluster."""


async def scopes_of(collaborators: Collaborators, caller: Principal) -> set[str]:
    """Return the scopes that both the token and the account have."""
    if not caller.scopes:
        return set()
    user = (await collaborators.store.accounts.users_by_id([caller.user])).get(caller.user)
    return set(caller.scopes).intersection(user.scopes if user is not None else ())


def _with(*allowed: str) -> Callable[..., Awaitable[Principal]]:
    async def check(request: Request, caller: Caller, collaborators: With) -> Principal:
        held = await scopes_of(collaborators, caller)
        if held.isdisjoint(allowed):
            if held:  # not anyone's: no stranger fills the log
                call = f"{request.method} {request.url.path}"
                act = Act(f"user:{caller.username}", "http", call, "refused: forbidden")
                await collaborators.store.audit.append(act, collaborators.clock())
            raise RoostError("forbidden", f"This needs a token with the scope {' or '.join(allowed)}.")
        return caller

    return check


Observer = Annotated[Principal, Depends(_with(*LOOKING))]
"""Who may look at the cluster."""

Operator = Annotated[Principal, Depends(_with("admin"))]
"""Who may change it."""
