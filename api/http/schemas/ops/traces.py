"""Bodies of the calls about live traces."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.http.schemas.base import EXAMPLE_ID, Millis, Name, model


class Watch(BaseModel):
    """Whose messages are watched, and for how long."""

    model_config = model(username="alice", for_s=120)
    username: Name
    for_s: Annotated[int, Field(ge=1, le=300)] = 120


class Watching(BaseModel):
    """The roles that watch; `away` do not, or watch for as many others as they may."""

    model_config = model(username="alice", until_ms=1_795_000_120_000, roles=["gateway-1", "host-1"], away=[])
    username: str
    until_ms: Millis
    roles: list[str]
    away: list[str]


class Hop(BaseModel):
    """A message was here; times are of the machine of the role, in milliseconds with a fraction."""

    model_config = model(
        at_ms=1_795_000_000_012.5,
        role="gateway",
        name="gateway-1",
        step="accepted",
        cause=EXAMPLE_ID,
        detail="seq=4294967301",
    )
    at_ms: float
    role: str
    name: str
    step: str
    cause: str
    detail: str


class Hops(BaseModel):
    """Steps in the order of time; `until_ms` 0: no one watches."""

    until_ms: Millis
    hops: list[Hop]
