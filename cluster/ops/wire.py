"""What the coordinator answers gateways that ask what there is to show, and what those pass on to pages.

Names are as in the API (`api.http.schemas.ops.stream`): a gateway passes on what it is given.
"""

from typing import Any, Final

from msgspec import Struct, field

from storage.event_records import Event, Level

STEP_S: Final = 2
"""Seconds between two figures."""

HISTORY_S: Final = 900
"""Seconds of the past that are kept."""


class Alarm(Struct, frozen=True):
    """A condition that an operator should know of.

    Attributes:
        name: That of the alert rule that means the same, or another.
        since_ms: Since when it holds.
        text: A sentence for people.
        level: How much it matters.
        runbook: Anchor in ``docs/operations.md``.
    """

    name: str
    since_ms: int
    text: str
    level: Level
    runbook: str


class ShardState(Struct, frozen=True, omit_defaults=True):
    """Who serves a shard; ``moving``: its host does not run."""

    shard: int
    host: str
    router: str
    pusher: str
    moving: bool = False


class NodeState(Struct, frozen=True):
    """A machine. Figures are None until a role there has told them; processor time is in cores."""

    address: str
    name: str
    drained: bool
    alive: bool
    cpu: float | None = None
    cpus: float | None = None
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None


class State(Struct, frozen=True):
    """What there is: machines, roles, shards, alarms. Roles are as in ``roost status --json``."""

    at_ms: int
    map_version: int
    ready: bool
    shards: list[ShardState]
    nodes: list[NodeState]
    roles: list[dict[str, Any]]
    alarms: list[Alarm]


class Figures(Struct, frozen=True):
    """The figures of one step: of all together, and of each role."""

    at_ms: int
    values: dict[str, float | None]
    roles: dict[str, dict[str, float | None]]


class History(Struct, frozen=True):
    """The figures of the past: columns of the same length as ``at_ms``."""

    at_ms: list[int]
    values: dict[str, list[float | None]]


class OperationState(Struct, frozen=True):
    """How far an operation is."""

    number: int
    act: str
    what: str
    by: str
    done: bool
    stage: str
    lines: list[str]
    failure: str


class Seen(Struct, frozen=True, forbid_unknown_fields=False):
    """What a gateway has seen already.

    Attributes:
        coordinator: Incarnation of the coordinator that it is of; of another one nothing was seen.
        figures_ms: Time of the newest figures.
        told: `Answer.told` of the newest events.
        state: `Answer.state_of` of the newest state, '' to be given it in any case.
        history: It wants the history and the last events.
    """

    coordinator: str = ""
    figures_ms: int = 0
    told: int = 0
    state: str = ""
    history: bool = False


class Answer(Struct, frozen=True, omit_defaults=True):
    """What is new.

    Attributes:
        coordinator: Incarnation of the coordinator.
        release: What it runs.
        now_ms: Its time.
        state_of: Names the state; the same as long as nothing but figures changed.
        told: Number of the newest event as it was told; an event that is stored later is told again.
        state: None if it has been seen.
        figures: New ones, the oldest first.
        events: New ones, the oldest first.
        operations: Those in progress, and those that ended lately.
        history: If it was wanted.
    """

    coordinator: str
    release: str
    now_ms: int
    state_of: str
    told: int
    state: State | None = None
    figures: list[Figures] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    operations: list[OperationState] = field(default_factory=list)
    history: History | None = None
