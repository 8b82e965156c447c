"""Bodies of the calls for operators."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.http.schemas.base import Name, model


class Cluster(BaseModel):
    """What `roost status --json` prints."""

    roles: list[dict[str, Any]]
    shards: int
    map_version: int
    nodes: list[dict[str, Any]]


class Drain(BaseModel):
    """What is to be emptied."""

    model_config = model(target="host-2")
    target: Annotated[Name, Field(description="A role, or a machine by its address or name.")]


class Undrain(BaseModel):
    """What may have roles again."""

    model_config = model(target="10.0.0.3")
    target: Annotated[Name, Field(description="A machine by its address or name.")]


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
