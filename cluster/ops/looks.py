"""What the coordinator sees when it looks at the cluster, and an event that comes of it. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct, field

from storage.event_records import Kind, Level
from storage.shard_map import ShardMap


class RoleLook(Struct, frozen=True):
    """A role as it is now.

    Attributes:
        role: Its kind.
        state: As in ``roost status``.
        incarnation: Of its process, '' before the first answer.
        pid: Of its process.
        node: Address of the machine.
        release: What it runs.
        failure: Why it does not respond.
    """

    role: str
    state: str
    incarnation: str = ""
    pid: int | None = None
    node: str | None = None
    release: str | None = None
    failure: str = ""


class Look(Struct, frozen=True):
    """Everything that is compared.

    Attributes:
        at_ms: When, by the coordinator's clock.
        roles: By name.
        nodes: Machines by their id, as in ``roost status``.
        servers: Embedded servers by name, likewise.
        shard_map: The newest.
    """

    at_ms: int = 0
    roles: Mapping[str, RoleLook] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shard_map: ShardMap = ShardMap(0, (), (), ())

    def machine(self, address: str | None) -> str:
        """Return what people call the machine with this address: its own name, where it is known."""
        names = (name_of(row) for row in self.nodes.values() if row["node"] == address)
        return next(names, address or "nowhere")


def name_of(node: Mapping[str, Any]) -> str:
    """Return what people call a machine, from its row in ``roost status``."""
    return str(node.get("hostname") or node["node"])


class Noted(NamedTuple):
    """An event without its number and time."""

    kind: Kind
    subject: str
    text: str
    level: Level = "info"
    more: dict[str, Any] = {}  # noqa: RUF012 -- never changed
