"""Bodies of the calls for operators."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.http.schemas.base import Millis, Name, model


class Cluster(BaseModel):
    """What `roost status --json` prints."""

    roles: list[dict[str, Any]]
    shards: int
    map_version: int
    nodes: list[dict[str, Any]]


class DeviceState(BaseModel):
    """A device, without the name that its owner gave it."""

    device_id: str
    created_at_ms: Millis
    has_keys: bool
    push: bool
    signed_out: bool


class SessionState(BaseModel):
    """A session that has not ended."""

    device_id: str
    created_at_ms: Millis
    used_at_ms: Millis
    expires_at_ms: Millis
    signed_refresh: bool


class UserState(BaseModel):
    """An account as operators see it."""

    user_id: str
    username: str
    created_at_ms: Millis
    last_seen_ms: Millis
    scopes: list[str]
    devices: list[DeviceState]
    sessions: list[SessionState]


class Drain(BaseModel):
    """What is to be emptied."""

    model_config = model(target="host-2")
    target: Annotated[Name, Field(description="A role, or a machine by its address or name.")]


class Scale(BaseModel):
    """How many of each role there are to be; or of `shards`, alone."""

    model_config = model(counts={"host": 4})
    counts: Annotated[dict[Name, Annotated[int, Field(ge=0, le=10_000)]], Field(min_length=1, max_length=10)]


class Operation(BaseModel):
    """How far an operation is."""

    model_config = model(number=3, done=False, stage="draining host-2", lines=[], failure="")
    number: int
    done: bool
    stage: str
    lines: list[str]
    failure: str
