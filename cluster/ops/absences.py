"""Roles and machines that do not respond, as events. Pure.

On a busy machine a role may miss a few heartbeats. A silence that ends soon and moves no shard is not worth a
line, nor that it is over. When no role of a machine responds, the machine is told of, and not each of them.
"""

from collections.abc import Iterator
from typing import Final

from cluster.ops.looks import Look, Noted, RoleLook
from cluster.supervision.membership import RUNNING, SILENT, STARTING

BORNE_MS: Final = 1_500
"""A silence that lasts so long after it was noticed is told of."""


class Absences:
    """Who is away, and of whom that was told."""

    def __init__(self) -> None:
        self._quiet: dict[str, int] = {}
        self._told: set[str] = set()

    def arrived(self, name: str) -> None:
        """A role is another process, or is no longer wanted: what it was before does not matter."""
        self._quiet.pop(name, None)
        self._told.discard(name)

    def since(self, before: Look, now: Look) -> Iterator[Noted]:
        """Return who went away and who is back, of roles whose process is the same as before."""
        moved = bool(before.shard_map.version) and before.shard_map.version != now.shard_map.version
        for name, role in now.roles.items():
            if role.state == RUNNING:
                yield from self._responds(name, role)
            elif self._is_news(name, before.roles.get(name), role, now.at_ms, moved):
                yield from self._away(name, role, now)

    def _responds(self, name: str, role: RoleLook) -> Iterator[Noted]:
        told = name in self._told
        self.arrived(name)
        if told:
            more = {"role": role.role, "pid": role.pid, "node": role.node, "again": True}
            yield Noted("role_started", name, f"{name} responds again.", more=more)

    def _is_news(
        self,
        name: str,
        before: RoleLook | None,
        role: RoleLook,
        at_ms: int,
        moved: bool,  # noqa: FBT001 -- a fact, not a mode
    ) -> bool:
        if name in self._told or role.state == STARTING:
            return False
        if name not in self._quiet and (before is None or before.state != RUNNING):
            return False  # it was never seen to respond
        since_ms = self._quiet.setdefault(name, at_ms)
        return role.state != SILENT or moved or at_ms - since_ms >= BORNE_MS

    def _away(self, name: str, role: RoleLook, now: Look) -> Iterator[Noted]:
        self._told.add(name)
        beside = {each: other for each, other in now.roles.items() if other.node == role.node}
        if len(now.nodes) > 1 and role.node and all(other.state == SILENT for other in beside.values()):
            self._told.update(beside)
            names = ", ".join(sorted(beside))
            text = f"The machine {now.machine(role.node)} does not respond, and with it {names}."
            yield Noted("node_silent", role.node, text, "problem", {"roles": sorted(beside)})
            return
        more = {"role": role.role, "pid": role.pid, "node": role.node, "state": role.state}
        yield Noted("role_ended", name, role.failure or f"{name} does not respond.", "warning", more)
