"""A long poll outlives a move of its shard: it is asked again where that is, for the rest of its time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace

from tests.integration.api_world import SHARDS, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLL_S = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url)) as made:
        yield made


async def moved_away_and_back(world: World) -> None:
    """Let the host lose its shards and get them again; no other role sees the map in between."""
    away = replace(world.shard_map, version=world.shard_map.version + 1, hosts=("host-1",) * SHARDS)
    world.shard_map = replace(world.shard_map, version=world.shard_map.version + 2)
    await world.host.apply(away)
    await world.host.apply(world.shard_map)
    for service in (*world.routers, *world.gateways):
        await service.apply(world.shard_map)


async def test_a_poll_gets_entries_that_arrive_after_the_move(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    polling = asyncio.create_task(bob.call("GET", "/v1/sync?wait_s=30", expect=200))
    await asyncio.sleep(0.3)
    await moved_away_and_back(world)
    status, sent = await alice.send(bob, b"after the move")
    assert status == 202, sent
    async with asyncio.timeout(10):
        page = await polling
    assert [entry["id"] for entry in page["entries"]] == [sent["id"]]


async def test_a_poll_that_moved_ends_on_time(world: World) -> None:
    bob = await world.person()
    loop = asyncio.get_running_loop()
    began = loop.time()
    polling = asyncio.create_task(bob.call("GET", f"/v1/sync?wait_s={POLL_S}", expect=200))
    await asyncio.sleep(POLL_S / 2)
    await moved_away_and_back(world)
    page = await polling
    assert page["entries"] == []
    assert POLL_S - 0.5 < loop.time() - began < POLL_S * 1.5 - 0.5
