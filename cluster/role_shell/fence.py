"""A fence around each role: one that was cut off does not act on an old map.

The coordinator visits every role twice a second. A role that was not visited for a while cannot know whether
its place was given to another process, on another machine, so it asks the store:

* another process has its name, or none has it any more: the process ends;
* there is a newer map: it takes that;
* it was never shown a map, and for long no one has visited it: the process ends, since the one who began
  it has died, and its name stands in the way of another;
* the store does not answer either: no shard is here or elsewhere until someone answers, so that no one is
  shown a mailbox that goes on in another place.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from msgspec.structs import replace

from actors.service import INCARNATION, Address, Service
from cluster.log.topics import RECREATING
from roost.errors import Unavailable
from roost.tasks import BackgroundTasks
from storage.ports import ClusterState
from storage.shard_map import ShardMap

SILENCE_S: Final = 2.0
"""Without a visit for this long the store is asked."""

DOUBT_S: Final = 5.0
"""Without a visit or an answer of the store for this long no map counts any more."""

FORGOTTEN_S: Final = 30.0
"""A role that was never shown a map serves nothing. Without a visit for this long no one knows of it."""

LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger()


def fenced(
    service: Service, name: str, store: ClusterState, end: Callable[[], None], incarnation: str = INCARNATION
) -> Service:
    """Return the same service, which calls ``end`` when another process has its place."""
    return cast("Service", Fence(service, name, store, end, incarnation))


class Fence:
    """Knows when its role was visited last; everything else is the service's."""

    def __init__(
        self, service: Service, name: str, store: ClusterState, end: Callable[[], None], incarnation: str
    ) -> None:
        self._service, self._name, self._store, self._end = service, name, store, end
        self._incarnation = incarnation
        self._map: ShardMap | None = None
        self._known_s = 0.0
        self._in_doubt = False
        self._tasks = BackgroundTasks()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def start(self) -> Address | None:
        """Start the service, and watch."""
        self._known_s = _now_s()
        address = await self._service.start()
        self._tasks.spawn(self._watch(), "fence", essential=True)
        return address

    async def apply(self, shard_map: ShardMap) -> None:
        """The coordinator is here, with the newest map."""
        if self._map is None or shard_map.version >= self._map.version:
            self._map = shard_map
        await self._certain()
        await self._service.apply(shard_map)

    async def status(self) -> dict[str, Any]:
        """The coordinator is here."""
        await self._certain()
        return await self._service.status()

    async def stop(self) -> list[str]:
        """Stop both."""
        await self._tasks.cancel()
        return await self._service.stop()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            silent_s = _now_s() - self._known_s
            if self._map is None and silent_s > FORGOTTEN_S:
                log.error("role_forgotten", silent_s=round(silent_s, 1))
                self._end()
                return
            if self._map is None or silent_s < SILENCE_S:
                continue
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._ask(self._map)
            except (Unavailable, TimeoutError):
                if not self._in_doubt and _now_s() - self._known_s > DOUBT_S:
                    await self._doubt(self._map)

    async def _ask(self, shard_map: ShardMap) -> None:
        """Take what the store says about the map."""
        stored = await self._store.shard_map()
        if stored is not None and stored.version > shard_map.version:
            incarnation = stored.incarnations.get(self._name)
            if incarnation not in {self._incarnation, ""}:
                log.error("role_replaced", version=stored.version, by=incarnation)
                self._end()
                return
            states = await self._store.log_states()
            if await self._store.phase() == RECREATING or len(states) != len(stored.hosts):
                raise Unavailable("The log is being recreated: its bases are there, and it is not.")
            of_shards = [states[shard] for shard in sorted(states)]
            newer = replace(
                stored,
                bases=tuple(state.base for state in of_shards),
                pushes=tuple(state.pushes for state in of_shards),
            )
            log.warning("map_from_store", version=newer.version, before=shard_map.version)
            self._map = newer
            await self._service.apply(newer)
        await self._certain()

    async def _certain(self) -> None:
        """Someone who knows was asked: what is in the shard_map counts."""
        self._known_s = _now_s()
        if self._in_doubt and self._map is not None:
            self._in_doubt = False
            log.warning("map_confirmed", version=self._map.version)
            await self._service.apply(self._map)

    async def _doubt(self, shard_map: ShardMap) -> None:
        self._in_doubt = True
        log.error("map_in_doubt", version=shard_map.version, silent_s=round(_now_s() - self._known_s, 1))
        await self._service.apply(replace(shard_map, hosts=("",) * shard_map.shards))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
