"""The data of each server-sent event of `GET /admin/v1/stream`.

First `hello`, `history`, `state` and the last of `event`; then `figures`, `event`, `state`, `operation` and
`away` as they come; `bye` is the last.
"""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.http.schemas.base import Millis
from api.http.schemas.ops.events import Level


class Hello(BaseModel):
    """`hello`: the first."""

    server_name: str
    release: str
    now_ms: Millis
    history_s: Annotated[int, Field(description="Seconds of the past that are kept.", examples=[900])]
    step_s: Annotated[int, Field(description="Seconds between two figures.", examples=[2])]


class History(BaseModel):
    """`history`: the figures of the past, in columns."""

    at_ms: list[Millis]
    values: dict[str, list[float | None]]


class Figures(BaseModel):
    """`figures`: of all together, and of each role, every `step_s`."""

    at_ms: Millis
    values: dict[str, float | None]
    roles: Annotated[
        dict[str, dict[str, float | None]],
        Field(description="`cpu` (cores), `memory_bytes`, `fds`, `fds_most`, and what its kind has."),
    ]


class Shard(BaseModel):
    """Who serves a shard."""

    shard: int
    host: str
    router: str
    pusher: str
    moving: Annotated[bool, Field(description="Its host does not run.")] = False


class Node(BaseModel):
    """A machine."""

    address: str
    name: str
    drained: bool
    alive: bool
    cpu: Annotated[float | None, Field(description="Cores in use, by whatever runs there.")]
    cpus: Annotated[float | None, Field(description="Cores.")]
    memory_bytes: Annotated[int | None, Field(description="Memory in use.")]
    memory_total_bytes: int | None
    disk_free_bytes: Annotated[int | None, Field(description="Free where the data folder is.")]
    disk_total_bytes: int | None


class Alarm(BaseModel):
    """A condition that an operator should know of."""

    name: Annotated[str, Field(examples=["RoostRoleAway"])]
    since_ms: Millis
    text: str
    level: Level
    runbook: Annotated[str, Field(description="What to do.", examples=["docs/operations.md#roostroleaway"])]


class State(BaseModel):
    """`state`: at each change, and every ten seconds."""

    at_ms: Millis
    map_version: int
    ready: bool
    shards: list[Shard]
    nodes: list[Node]
    roles: Annotated[list[dict[str, Any]], Field(description="As in `roost status --json`.")]
    alarms: list[Alarm]


class OperationProgress(BaseModel):
    """`operation`: each time that it is a step further."""

    number: int
    act: str
    what: str
    by: str
    done: bool
    stage: str
    lines: list[str]
    failure: str


class Away(BaseModel):
    """`away`: the coordinator does not answer; what is shown grows old until the next `figures`."""

    at_ms: Millis
    detail: str


class Bye(BaseModel):
    """`bye`: the last, with the reason as a code."""

    code: Annotated[str, Field(examples=["revoked"])]
    detail: str
