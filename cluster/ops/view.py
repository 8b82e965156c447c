"""What the coordinator lets the live picture see of itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

from cluster.supervision.roles import Roles
from storage.shard_map import ShardMap
from telemetry.role_figures import Reader

Certificates = Callable[[], list[dict[str, Any]]]


class View(NamedTuple):
    """What is looked at.

    Attributes:
        status: Returns what ``roost status --json`` prints.
        shard_map: Returns the newest map.
        roles: All of them.
        reader: Reads the figures of the coordinator's process, None where they mean nothing.
        certificates: Reads those whose end is watched, as `certificates_in_use`; it blocks. None if there are
            none.
    """

    status: Callable[[], dict[str, Any]]
    shard_map: Callable[[], ShardMap]
    roles: Roles
    reader: Reader | None = None
    certificates: Certificates | None = None
