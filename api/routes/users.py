"""Other users: profile and presence, as far as their settings show them."""

from fastapi import APIRouter

from actors.rpc import questions as q
from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.users import PresenceInfo, UserInfo
from roost.errors import RoostError

router = APIRouter(route_class=ApiRoute, tags=["users"])
_ERRORS = ("unauthenticated", "revoked", "rate_limited", "unknown_user")


@router.get("/v1/users/{username}", responses=responses(*_ERRORS))
async def user(username: str, caller: Caller, collaborators: With) -> UserInfo:
    """Find a user by exact name."""
    await collaborators.limits.check("lookups", caller.device)
    person = await collaborators.directory.known(username)
    account = (await collaborators.store.accounts.users_by_id([person.user])).get(person.user)
    if account is None:
        raise RoostError("unknown_user", f"There is no user {username[:64]!r}.")
    return UserInfo(user_id=person.user, username=person.username, display_name=account.display_name)


@router.get("/v1/users/{username}/presence", response_model_exclude_none=True, responses=responses(*_ERRORS))
async def presence(username: str, caller: Caller, collaborators: With) -> PresenceInfo:
    """Return whether the user is online, or when they were last."""
    await collaborators.limits.check("lookups", caller.device)
    person = await collaborators.directory.known(username)
    answer = await collaborators.hosts.ask(person.user, q.PresenceOf(0, caller.user, person.user))
    if not isinstance(answer, q.PresenceState):
        raise RoostError("internal", "The user's host gave an unexpected answer.")
    state = "online" if answer.online else "offline"
    return PresenceInfo(state=state, last_seen_ms=answer.last_seen_ms)
