"""A role that is no longer visited asks the store whether it has been replaced."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import pytest_asyncio

from actors.service import INCARNATION, Address, Service
from cluster.role_shell import fence
from cluster.role_shell.fence import fenced
from roost.errors import Unavailable
from storage.cluster_rows import LogState
from storage.ports import ClusterState
from storage.shard_map import ShardMap
from tests.live.waiting import until

OWNED = ("host-1", "host-2")
MAP = ShardMap(3, OWNED, ("router-1",) * 2, ("",) * 2, (1, 1), {}, {})


@dataclass
class World:
    """The store and the role's service."""

    stored: ShardMap | None = None
    away: bool = False
    phase_now: str = ""
    rows: int = 2
    asked: int = 0
    ended: int = 0
    maps: list[ShardMap] = field(default_factory=list)

    async def shard_map(self) -> ShardMap | None:
        self.asked += 1
        if self.away:
            raise Unavailable("MongoDB is away.")
        return self.stored

    async def phase(self) -> str:
        return self.phase_now

    async def log_states(self) -> dict[int, LogState]:
        return {shard: LogState(shard, 70 + 20 * shard, 0) for shard in range(self.rows)}

    async def start(self) -> Address | None:
        return ("127.0.0.1", 1)

    async def apply(self, shard_map: ShardMap) -> None:
        self.maps.append(shard_map)

    async def status(self) -> dict[str, Any]:
        return {"shards": 1}

    async def stop(self) -> None:
        return

    def end(self) -> None:
        self.ended += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest_asyncio.fixture
async def role(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(fence, "SILENCE_S", 0.05)
    monkeypatch.setattr(fence, "DOUBT_S", 0.1)
    monkeypatch.setattr(fence, "LOOK_EVERY_S", 0.01)
    role = fenced(cast("Service", world), "host-1", cast("ClusterState", world), world.end)
    assert await role.start() == ("127.0.0.1", 1)
    await role.apply(MAP)
    yield role
    await role.stop()


def newer(**lives: str) -> ShardMap:
    named = {name.replace("_", "-"): life for name, life in lives.items()}
    addresses = {"host-1": ("10.0.0.1", 5), "host-2": ("10.0.0.2", 6)}
    names = ("host-2", "host-2"), ("router-2",) * 2, ("",) * 2
    return ShardMap(4, *names, addresses=addresses, incarnations=named, since=(4, 2))


async def test_a_role_with_heartbeats_does_not_ask_the_store(world: World, role: Service) -> None:
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert await role.status() == {"shards": 1}
    assert world.asked == 0


@pytest.mark.parametrize("life", [{"host_1": "another"}, {}], ids=["replaced", "struck"])
async def test_a_replaced_role_ends(world: World, role: Service, life: dict[str, str]) -> None:
    del role
    world.stored = newer(host_2="b", **life)
    await until(lambda: "" if world.ended else "still there", within=5)
    assert world.maps == [MAP]


@pytest.mark.parametrize("life", [INCARNATION, ""], ids=["known", "not heard yet"])
async def test_a_role_still_on_the_map_adopts_the_newer_one(world: World, role: Service, life: str) -> None:
    del role
    world.stored = newer(host_1=life, host_2="b")
    await until(lambda: "" if len(world.maps) > 1 else "no map", within=5)
    taken = world.maps[-1]
    assert (taken.version, taken.hosts, taken.bases) == (4, ("host-2", "host-2"), (70, 90))
    assert (taken.incarnations, taken.since) == ({"host-1": life, "host-2": "b"}, (4, 2))
    asked = world.asked
    await until(lambda: "" if world.asked > asked + 2 else "nothing is asked", within=5)
    assert (len(world.maps), world.ended) == (2, 0)


async def test_a_map_is_not_adopted_while_the_log_is_recreated(world: World, role: Service) -> None:
    """The store has the new bases by then, and the old log is still there to be read under them."""
    del role
    world.phase_now = "recreating"
    world.stored = newer(host_1=INCARNATION, host_2="b")
    await until(lambda: "" if len(world.maps) > 1 else "no doubt", within=5)
    assert {each.bases for each in world.maps} == {MAP.bases}
    world.phase_now = ""
    await until(lambda: "" if world.maps[-1].version == 4 else "no map", within=5)
    assert world.maps[-1].bases == (70, 90)


async def test_a_map_is_not_taken_while_there_are_rows_of_more_shards(world: World, role: Service) -> None:
    del role
    world.rows = 4
    world.stored = newer(host_1=INCARNATION, host_2="b")
    await until(lambda: "" if len(world.maps) > 1 else "no doubt", within=5)
    assert {each.version for each in world.maps} == {MAP.version}
    world.rows = 2
    await until(lambda: "" if world.maps[-1].version == 4 else "no map", within=5)


async def test_a_role_in_doubt_owns_nothing_until_the_doubt_ends(world: World, role: Service) -> None:
    world.away = True
    await until(lambda: "" if len(world.maps) > 1 else "no doubt", within=5)
    assert (world.maps[-1].version, world.maps[-1].hosts) == (3, ("", ""))
    await role.status()
    assert world.maps[-1] == MAP
    await until(lambda: "" if len(world.maps) > 3 else "no doubt", within=5)
    world.away = False
    await until(lambda: "" if world.maps[-1] == MAP else "still in doubt", within=5)
    assert world.ended == 0


async def test_an_old_map_in_the_store_changes_nothing(world: World, role: Service) -> None:
    del role
    world.stored = ShardMap(3, ("host-2",) * 2, ("",) * 2, ("",) * 2)
    await until(lambda: "" if world.asked > 3 else "nothing is asked", within=5)
    assert (world.maps, world.ended) == ([MAP], 0)


async def test_who_was_never_shown_a_map_and_is_not_visited_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator that began it has died, and the next one takes its process for another role's."""
    monkeypatch.setattr(fence, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(fence, "FORGOTTEN_S", 0.2)
    role = fenced(cast("Service", world), "host-1", cast("ClusterState", world), world.end)
    await role.start()
    for _ in range(30):
        await asyncio.sleep(0.01)
        await role.status()
    assert world.ended == 0, "it is visited"
    await until(lambda: "" if world.ended else "still there", within=5)
    await role.stop()
