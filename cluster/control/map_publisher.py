"""The shard map: drawn from who serves, stored, and shown to every role."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from msgspec.structs import replace

from cluster.control.shard_placement import moves, place, reaching, stretched
from cluster.log.topics import LogTopics
from cluster.supervision.membership import Membership
from cluster.supervision.roles import Roles, now_ms
from storage.ports import ClusterState
from storage.shard_map import ShardMap
from telemetry import metrics

_OWNERS: Final = ("host", "router", "pusher")

log = structlog.get_logger()


class MapPublisher:
    """The one maker of maps.

    Args:
        store: Keeps the newest map; decides between two coordinators.
        roles: Are shown it.
        topics: The bases of the present log.
        outdated: Called when another coordinator's map was found: draw again.

    Attributes:
        newest: As far as we know; before the first look at the store it is empty.
    """

    def __init__(
        self, store: ClusterState, roles: Roles, topics: LogTopics, outdated: Callable[[], None]
    ) -> None:
        self._store, self._roles, self._topics, self._outdated = store, roles, topics, outdated
        self.newest = ShardMap(0, (), (), ())
        self._drawing = asyncio.Lock()

    @property
    def published(self) -> bool:
        """Whether this coordinator has shown a map."""
        return self._roles.shard_map is not None

    @property
    def owners(self) -> set[str]:
        """The names of the roles that have shards by the newest map."""
        return {*self.newest.hosts, *self.newest.routers, *self.newest.pushers}

    async def load(self) -> None:
        """Read the newest map from the store."""
        self.newest = await self._store.shard_map() or self.newest

    async def redraw(self) -> None:
        """Draw the map again; if anything of it changed, store it and show it to every role."""
        async with self._drawing:
            if not self.published and not self._membership.settled(now_ms()):
                return
            drawn = self._drawn()
            if "" in drawn.hosts + drawn.routers + drawn.pushers:
                return  # there is no role yet for some of it
            if self.published and drawn == replace(self.newest, version=drawn.version):
                return
            await self._publish(drawn)

    def shards_of(self, role: str, name: str) -> int | None:
        """Return how many shards the role has; None for one of a kind that has none."""
        return _owners(self.newest)[role].count(name) if role in _OWNERS else None

    @property
    def _membership(self) -> Membership:
        return self._roles.membership

    def _drawn(self) -> ShardMap:
        held = _owners(self.newest, len(self._topics.bases))  # the newest map may be of fewer shards
        now = now_ms()
        serving = {role: self._membership.serving(role, names, now) for role, names in held.items()}
        figures = {each.name: each.figures for each in self._roles.of("router")}
        contact = {
            name: (of.get("silent_s", 0.0), of.get("answering_s", 0.0)) for name, of in figures.items()
        }
        serving["router"] = reaching(serving["router"], contact)
        placed = {role: place(names, serving[role]) for role, names in held.items()}
        members = self._membership.members()
        hosts = {m.name: m.alive for m in members if m.name in serving["host"]}
        version = self.newest.version + 1
        return ShardMap(
            version=version,
            hosts=placed["host"],
            routers=placed["router"],
            pushers=placed["pusher"],
            bases=self._topics.bases,
            pushes=self._topics.pushes,
            addresses={name: alive.address for name, alive in hosts.items() if alive and alive.address},
            incarnations={m.name: m.alive.incarnation if m.alive else "" for m in members},
            records=min((m.alive.records for m in members if m.alive), default=1),
            since=self.newest.since_with(placed["host"], version),
        )

    async def _publish(self, drawn: ShardMap) -> None:
        if not await self._store.put_shard_map(drawn):
            # Another coordinator was faster, or the reply to our own write was lost: go on from there.
            await self.load()
            self._outdated()
            return
        before, after = _owners(self.newest, drawn.shards), _owners(drawn)
        for role in _OWNERS:
            if moved := moves(before[role], after[role]):
                metrics.MAP_MOVES.labels(role).inc(moved)
                log.info("shards_moved", moved_role=role, shards=moved, version=drawn.version)
        self.newest = drawn
        log.info("map_changed", version=drawn.version, hosts=sorted(drawn.addresses))
        self._roles.show(drawn)


def _owners(shard_map: ShardMap, shards: int | None = None) -> dict[str, tuple[str, ...]]:
    """Return who has each shard, by role; if there are more shards than in the map, who gets them first."""
    held = {"host": shard_map.hosts, "router": shard_map.routers, "pusher": shard_map.pushers}
    return {role: names if shards is None else stretched(names, shards) for role, names in held.items()}
