"""Tansu's log is made again while people talk: because it is full, and because its server died."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from pymongo import AsyncMongoClient

from cluster.cli.lifecycle import FORGETS
from tests.live.crowd import Crowd, crowd
from tests.live.running import System
from tests.live.waiting import until
from tests.machine import Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SMALL = 800
RENEWALS = 2
PEOPLE = 30
RATE = 80.0
STEP = 2**32
GROWTH_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def small_log(machine: Machine) -> Iterator[System]:
    """A system whose log is full soon."""
    env = {"ROOST_KAFKA__EMBEDDED": "tansu", "ROOST_LOG__MAX_RECORDS": str(SMALL)}
    yield machine.own("--hosts", "2", "--gateways", "2", env=env).start()
    machine.end_own()


async def test_a_full_log_is_recreated_without_anyone_noticing(
    small_log: System, tell: Callable[[str, float], None]
) -> None:
    assert FORGETS in small_log.tail()
    [broker] = await small_log.roles("kafka")
    async with crowd(small_log.http, "full", PEOPLE, contacts=5, seed=20_260_301) as people:
        bases = {min((await _bases(small_log)).values())}
        memory = psutil.Process(broker["pid"]).memory_info().rss
        talking = asyncio.create_task(people.talk(100_000, RATE))

        async def too_few() -> str:
            assert not talking.done(), talking.exception()
            bases.add(min((await _bases(small_log)).values()))
            risen = len(bases) - 1
            return "" if risen >= RENEWALS else f"{risen} renewals after {people.count} messages"

        took = await until(too_few, within=150, every=0.5)
        tell(f"{RENEWALS} renewals of a log of {SMALL} records", took)
        await asyncio.sleep(0)
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await people.settle(within=90)
        people.check()
        await people.check_watermarks()
        tell("slowest message across the renewals", people.slowest(0))
        assert people.count > SMALL // 2
        assert (await small_log.roles("kafka"))[0]["pid"] == broker["pid"]
        grown = psutil.Process(broker["pid"]).memory_info().rss - memory
        assert grown < GROWTH_BYTES, f"the broker has grown by {grown / 1e6:.0f} MB"


async def test_what_went_down_with_the_log_is_sent_again(
    small_log: System, tell: Callable[[str, float], None]
) -> None:
    async with crowd(small_log.http, "down", PEOPLE, contacts=5, seed=20_260_302) as people:
        await people.talk(100, RATE)
        await people.settle(within=60)
        before = await _bases(small_log)
        talking = asyncio.create_task(people.talk(600, RATE))
        await until(lambda: "" if people.count > 300 else "too little was said", within=60)
        [broker] = await small_log.roles("kafka")
        struck = time.monotonic()
        os.kill(broker["pid"], signal.SIGKILL)

        async def not_risen() -> str:
            now = await _bases(small_log)
            low = [shard for shard in now if now[shard] < before[shard] + STEP]
            return f"the bases of {low} have not risen" if low else ""

        tell("broker killed, bases raised", await until(not_risen, within=60))
        await talking
        await people.settle(within=150)
        people.check("reordered")
        await people.check_watermarks()
        tell("broker killed, slowest message", people.slowest(struck - 1))
        again = (await small_log.roles("kafka"))[0]
        assert again["pid"] != broker["pid"]
        await _still_in_order(people)


async def _still_in_order(people: Crowd) -> None:
    """What is said from now on is told in order again."""
    people.new_ledger()
    await people.talk(150, RATE)
    await people.settle(within=60)
    people.check()


async def _bases(system: System) -> dict[int, int]:
    async with AsyncMongoClient[dict[str, int]](system.mongo) as mongo:
        return {state["_id"]: state["base"] async for state in mongo["roost"]["log"].find()}
