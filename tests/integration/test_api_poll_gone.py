"""A long poll whose client closes its connection: its host hears of it, and wakes the device."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage.kafka_log import KafkaLogReader
from storage.records import PushRecord, decode_push
from storage.topics import PUSH
from tests.integration.api_world import SHARDS, Urls, World, running
from tests.live.waiting import until, until_found


@pytest.fixture
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url)) as made:
        yield made


def polls(world: World) -> int:
    return sum(len(actor.mailbox.polls) for _, actor in world.host._residents.actors())


async def wakeups(world: World) -> list[PushRecord]:
    reader = KafkaLogReader(world.broker.spec.address, PUSH, "look")
    await reader.start()
    try:
        await reader.assign(dict.fromkeys(range(SHARDS), 0))
        found = await until_found(lambda: reader.poll(wait_ms=100, limit=10))
    finally:
        await reader.close()
    return [decode_push(record.value) for records in found.values() for record in records]


@pytest.mark.parametrize("goes", [False, True])
async def test_who_closes_a_long_poll_is_woken_at_once(world: World, *, goes: bool) -> None:
    ann, bob = await world.person(), await world.person()
    await bob.call("PUT", "/v1/devices/current/push", {"provider": "fcm", "token": "t"}, expect=204)
    polling = asyncio.create_task(bob.call("GET", "/v1/sync?wait_s=30", expect=200))
    await until(lambda: "" if polls(world) else "no poll waits", within=10)
    if goes:
        polling.cancel()
        await until(lambda: "it still waits" if polls(world) else "", within=10)
    status, accepted = await ann.send(bob)
    assert status == 202
    [wakeup] = await wakeups(world)
    assert (wakeup.device, wakeup.seq, wakeup.not_before_ms == 0) == (bob.device, accepted["seq"], goes)
    if not goes:
        page = await polling
        assert [entry["seq"] for entry in page["entries"]] == [accepted["seq"]]
