"""G3 and G4: a fault in the middle of the traffic loses, doubles and reorders nothing.

One crowd goes through all faults, one after the other; after each, everything sent so far is accounted for.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import redis.asyncio

from roost.clock import now_ms
from tests.live.crowd import Crowd, crowd
from tests.live.running import System, frozen
from tests.live.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

PEOPLE = 60
MESSAGES = 400
RATE = 100.0
SEED = 20_260_242


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(system: System) -> AsyncIterator[Crowd]:
    async with crowd(system.http, "hardy", PEOPLE, contacts=6, seed=SEED) as gathered:
        await gathered.talk(100, RATE)
        await gathered.settle(within=60)
        yield gathered


async def _accounted(people: Crowd) -> None:
    await people.settle(within=90)
    people.check()
    await people.check_watermarks()


@pytest.mark.parametrize("role", ["router", "host", "gateway", "coordinator", "kafka"])
async def test_a_killed_process_loses_nothing(
    role: str, system: System, people: Crowd, tell: Callable[..., None]
) -> None:
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    await until(lambda: "" if len(people.went) % MESSAGES > 150 else "too little was said", within=60)
    struck = time.monotonic()
    async with system.killed(role) as row:
        await talking
    tell(f"{role} back, as status says", row["back_s"])
    await _accounted(people)
    tell(f"{role} killed, slowest message", people.slowest(struck - 1))


async def test_a_killed_pusher_forgets_no_wake_up(
    system: System, people: Crowd, tell: Callable[..., None]
) -> None:
    sleepers = list(people.people)[:8]
    for name in sleepers:
        await people.people[name].call(
            "PUT", "/v1/devices/current/push", {"provider": "fcm", "token": f"phone-of-{name}"}
        )
    await asyncio.gather(*(people.people[name].leave() for name in sleepers))

    async def unwoken() -> str:
        pushed = {each["token"] for each in await system.pushes()}
        return ", ".join(name for name in sleepers if f"phone-of-{name}" not in pushed)

    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    for first, name in enumerate(sleepers):
        await people.say(list(people.people)[10 + first], name)
        if first == len(sleepers) // 2:
            async with system.killed("pusher") as row:
                struck_ms = now_ms()
                for late in sleepers[first + 1 :]:
                    await people.say(list(people.people)[20], late)
    tell("pusher back, as status says", row["back_s"])
    await talking
    await until(unwoken, within=60)
    woken = {each["token"]: each["at_ms"] for each in await system.pushes()}
    last = max(woken[f"phone-of-{name}"] for name in sleepers)
    tell("pusher killed, last phone woken", (last - struck_ms) / 1000)
    await asyncio.gather(*(people.people[name].come_back() for name in sleepers))
    await _accounted(people)
    await _assert_pushes_carry_nothing(system, people)


async def _assert_pushes_carry_nothing(system: System, people: Crowd) -> None:
    for push in await system.pushes():
        shown = str(push["message"])
        assert not [name for name in people.people if name in shown.replace(push["token"], "")], push


async def test_an_emptied_cache_loses_nothing(system: System, people: Crowd) -> None:
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    async with redis.asyncio.Redis.from_url(system.redis) as cache:
        for _ in range(3):
            await asyncio.sleep(1.0)
            assert await cache.flushall()
    for name in list(people.people)[::4]:
        people.people[name].cut()
    await talking
    await _accounted(people)
    assert (await people.people["hardy0"].call("GET", "/v1/me"))["username"] == "hardy0"


async def test_a_router_that_hangs_is_replaced_and_may_wake_up_again(
    system: System, people: Crowd, tell: Callable[..., None]
) -> None:
    rows = await system.roles("router")
    row = max(rows, key=lambda each: int(each["shards"]))
    shards = sum(int(each["shards"]) for each in rows)
    assert 0 < row["shards"] < shards, rows

    async def not_taken_over() -> str:
        now = await system.roles("router")
        taken = any(each["shards"] == shards for each in now if each["name"] != row["name"])
        return "" if taken else f"{now}"

    async with frozen(row["pid"]):
        struck = time.monotonic()
        await people.talk(MESSAGES, RATE)
        # Nothing but the other router can have brought these: the first one is still stopped.
        await people.settle(within=60)
        tell("router stopped, slowest message", people.slowest(struck))
        await until(not_taken_over, within=30)
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))

    async def not_back() -> str:
        rows = await system.roles("router")
        good = all(each["state"] == "running" and each["shards"] > 0 for each in rows)
        return "" if good else f"{rows}"

    tell("router woken, has shards again", await until(not_back, within=60))
    await talking
    await _accounted(people)


async def test_sockets_drop_while_a_host_dies(system: System, people: Crowd) -> None:
    dropping = asyncio.create_task(people.drop_sockets(list(people.people)[::2], every=0.1))
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    async with system.killed("host"):
        await talking
    people.calm.set()
    await dropping
    await _accounted(people)
