"""Bodies of the calls about other users, and of the readiness probe."""

from typing import Literal

from pydantic import BaseModel

from api.http.schemas.base import EXAMPLE_USER, Millis, model


class UserInfo(BaseModel):
    """What everyone may know of a user."""

    model_config = model(user_id=EXAMPLE_USER, username="bob", display_name="Bob")
    user_id: str
    username: str
    display_name: str


class PresenceInfo(BaseModel):
    """A user's presence, as far as their settings show it."""

    model_config = model(state="offline", last_seen_ms=1_795_000_000_000)
    state: Literal["online", "offline"]
    last_seen_ms: Millis | None = None


class BlockList(BaseModel):
    """List the users whom the caller has blocked."""

    model_config = model(blocks=["mallory"])
    blocks: list[str]


class Readiness(BaseModel):
    """One line for each dependency."""

    model_config = model(ready=True, checks={"mongo": "ok", "redis": "ok", "log": "ok", "hosts": "2/2"})
    ready: bool
    checks: dict[str, str]
