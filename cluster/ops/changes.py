"""What changed between two looks at the cluster, as events. Pure.

A look compares what there is with what there was, so that it does not matter which part of the control plane
made the change. What happens and ends between two looks is seen by what it leaves: another process, another
version of the map.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cluster.ops.absences import Absences
from cluster.ops.looks import Look, Noted, RoleLook, name_of
from cluster.supervision.membership import RUNNING
from storage.shard_map import ShardMap


class Changes:
    """Remembers the last look.

    Args:
        shard_map: The newest one that the coordinator before us stored: it says which processes there were.
    """

    def __init__(self, shard_map: ShardMap) -> None:
        self._last = Look(shard_map=shard_map)
        self._incarnations = {name: one for name, one in shard_map.incarnations.items() if one}
        self._pids: dict[str, int | None] = {}
        self._absences = Absences()
        self._releases: set[str] = set()

    def since(self, now: Look) -> list[Noted]:
        """Return what happened since the last look."""
        noted = [
            *self._roles(now),
            *self._absences.since(self._last, now),
            *self._release(now.roles),
            *_nodes(self._last.nodes, now.nodes),
            *_servers(self._last.servers, now.servers),
            *_shards(self._last.shard_map, now.shard_map),
        ]
        self._last = now
        return noted

    @property
    def started(self) -> Mapping[str, str]:
        """The incarnation of each role, as last seen."""
        return self._incarnations

    def _roles(self, now: Look) -> Iterator[Noted]:
        for name in self._last.roles.keys() - now.roles.keys():
            self._incarnations.pop(name, None)
            self._absences.arrived(name)
            yield Noted("role_ended", name, f"{name} was stopped, since it is no longer wanted.")
        for name, role in now.roles.items():
            if role.incarnation and role.incarnation != self._incarnations.get(name):
                yield self._began(name, role, now)
            self._pids[name] = role.pid

    def _began(self, name: str, role: RoleLook, now: Look) -> Noted:
        known, earlier = self._incarnations.get(name), self._pids.get(name)
        self._incarnations[name] = role.incarnation
        self._absences.arrived(name)
        more: dict[str, Any] = {"role": role.role, "pid": role.pid, "node": role.node}
        at = f"process {role.pid} on {now.machine(role.node)}"
        if known is None:
            return Noted("role_started", name, f"{name} started: {at}.", more=more)
        instead = f" instead of {earlier}" if earlier else ""
        text = f"{name} is another process: {at}{instead}."
        return Noted("role_replaced", name, text, "warning", more | {"before": earlier})

    def _release(self, roles: Mapping[str, RoleLook]) -> Iterator[Noted]:
        for name, role in roles.items():
            if role.release and role.release not in self._releases:
                if self._releases:
                    text = f"{name} is the first role of release {role.release}."
                    yield Noted("release_changed", name, text, more={"release": role.release})
                self._releases.add(role.release)


def _nodes(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> Iterator[Noted]:
    if not before:
        return  # the first look: they have been there
    for key in now.keys() - before.keys():
        yield Noted("node_joined", now[key]["node"], f"The machine {name_of(now[key])} joined.")
    for key in before.keys() - now.keys():
        text = f"The machine {name_of(before[key])} is no longer in the cluster."
        yield Noted("node_left", before[key]["node"], text, "problem")
    for key in now.keys() & before.keys():
        if now[key]["drained"] == before[key]["drained"]:
            continue
        address, name = now[key]["node"], name_of(now[key])
        if now[key]["drained"]:
            yield Noted("node_drained", address, f"The machine {name} is to have no roles.")
        else:
            yield Noted("node_undrained", address, f"The machine {name} may have roles again.")


def _servers(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> Iterator[Noted]:
    for name in now.keys() & before.keys():
        was, runs = before[name]["state"] == RUNNING, now[name]["state"] == RUNNING
        restarted = now[name].get("restarts", 0) > before[name].get("restarts", 0)
        if was and (restarted or not runs):
            yield Noted("server_away", name, f"The server {name} ended.", "problem")
        if runs and (restarted or not was):
            text = f"The server {name} runs again: process {now[name]['pid']}."
            yield Noted("server_back", name, text, more={"pid": now[name]["pid"]})


def _shards(before: ShardMap, now: ShardMap) -> Iterator[Noted]:
    if now.version == before.version:
        return
    more: dict[str, Any] = {"version": now.version, "before": before.version}
    moved = False
    if before.version:
        for role, then, there in (
            ("host", before.hosts, now.hosts),
            ("router", before.routers, now.routers),
            ("pusher", before.pushers, now.pushers),
        ):
            to = Counter(new for old, new in zip(then, there, strict=False) if old != new)
            if to:
                moved = True
                places = ", ".join(f"{count} to {name}" for name, count in sorted(to.items()))
                text = f"Shards have another {role}: {places}."
                yield Noted("shards_moved", role, text, more=more | {"to": dict(to)})
    if not moved:
        text = f"Map {now.version} was drawn; no shard moved."
        yield Noted("map_drawn", str(now.version), text, more=more)


def log_changes(counted: Mapping[str, float]) -> Iterator[Noted]:
    """Tell what became of the log, by what the coordinator counted in a step."""
    if counted.get("log_lost"):
        yield Noted("log_lost", "log", "The log was lost and begins again.", "problem")
    if counted.get("log_renewed"):
        yield Noted("log_renewed", "log", "The log was full, and was made again after all was stored.")
    if dropped := counted.get("log_dropped"):
        text = f"The log's retention removed {dropped:,.0f} records before they were stored."
        yield Noted("log_lost", "log", text, "problem", {"records": dropped})
