"""The picture of a moment: machines, roles and shards as pages draw them. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

import msgspec

from cluster.ops.wire import NodeState, ShardState, State
from cluster.supervision.membership import RUNNING
from storage.shard_map import ShardMap
from telemetry.role_figures import MachineFigures

_GONE_MS: Final = 600_000
"""A machine that left is shown so long."""

_CHANGING: Final = frozenset({"users", "lag", "streams", "accepted"})
"""What changes in the rows of roles though nothing happens but traffic; it is among the figures."""

Row = Mapping[str, Any]


class Machines:
    """The machines, also those that left a moment ago, with their last figures."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._left_ms: dict[str, int] = {}
        self._figures: dict[str, MachineFigures] = {}

    def heard(self, address: str, figures: MachineFigures) -> None:
        """A role there told its machine's figures."""
        self._figures[address] = figures

    def states(self, rows: Iterable[Row], roles: Sequence[Row], now_ms: int) -> list[NodeState]:
        """Return them, by address.

        Args:
            rows: Those that there are, as in ``roost status``.
            roles: The roles, likewise.
            now_ms: The time.
        """
        present = {row["node"]: row for row in rows}
        for address in self._rows.keys() - present.keys():
            left_ms = self._left_ms.setdefault(address, now_ms)
            if now_ms - left_ms > _GONE_MS:
                for of in (self._rows, self._left_ms, self._figures):
                    of.pop(address, None)
        for address in present:
            self._left_ms.pop(address, None)
        self._rows |= present
        return [self._state(address, roles) for address in sorted(self._rows)]

    def _state(self, address: str, roles: Sequence[Row]) -> NodeState:
        row, left = self._rows[address], address in self._left_ms
        here = [role["state"] for role in roles if role.get("node") == address]
        alive = not left and (not here or RUNNING in here)
        found = self._figures.get(address) if alive else None
        return NodeState(
            address=address,
            name=row.get("hostname") or address,
            drained=row["drained"],
            alive=alive,
            cpu=found.cpu if found else None,
            cpus=found.cpus if found else row.get("cpus") or None,
            memory_bytes=found.memory_bytes if found else None,
            memory_total_bytes=found.memory_total_bytes if found else None,
            disk_free_bytes=found.disk_free_bytes if found else None,
            disk_total_bytes=found.disk_total_bytes if found else None,
        )


def shards_of(shard_map: ShardMap, running: Collection[str]) -> list[ShardState]:
    """Return who serves each shard."""
    owners = zip_longest(shard_map.hosts, shard_map.routers, shard_map.pushers, fillvalue="")
    return [
        ShardState(shard, host, router, pusher, moving=host not in running)
        for shard, (host, router, pusher) in enumerate(owners)
    ]


def name_of(state: State) -> str:
    """Return the same for two states that differ in figures alone."""
    roles = [{key: value for key, value in row.items() if key not in _CHANGING} for row in state.roles]
    nodes = [(node.address, node.name, node.drained, node.alive) for node in state.nodes]
    alarms = [(alarm.name, alarm.since_ms) for alarm in state.alarms]
    same = (state.map_version, state.ready, state.shards, nodes, roles, alarms)
    return f"{hash(msgspec.msgpack.encode(same)):x}"
