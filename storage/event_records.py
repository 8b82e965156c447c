"""The line of events of an installation: what happened when, for operators. See ``schema.md``."""

from typing import Any, Literal

from msgspec import Struct, field

Kind = Literal[
    "role_started",
    "role_ended",
    "role_replaced",
    "spare_taken",
    "shards_moved",
    "map_drawn",
    "node_joined",
    "node_left",
    "node_silent",
    "node_drained",
    "node_undrained",
    "server_away",
    "server_back",
    "log_renewed",
    "log_lost",
    "operation_begun",
    "operation_done",
    "operation_failed",
    "alarm_raised",
    "alarm_cleared",
    "admin_act",
    "release_changed",
    "events_dropped",
]
Level = Literal["info", "warning", "problem"]


class Event(Struct, frozen=True, omit_defaults=True):
    """One event of the line.

    Attributes:
        n: Its place: microseconds of Unix time when it was noted, made unique.
        at_ms: When.
        kind: What happened.
        subject: To what: a role's, machine's, server's or alarm's name.
        text: A sentence for people.
        by: Who did it, where someone did.
        level: How much it matters.
        more: What else is known, by kind.
        stored: Whether it outlives the coordinator; False while the store is away.
    """

    n: int
    at_ms: int
    kind: Kind
    subject: str
    text: str
    level: Level
    by: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    stored: bool = True
