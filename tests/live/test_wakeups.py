"""A pusher that dies in the middle of the traffic forgets no wake-up, and no push says anything."""

import asyncio
from collections.abc import Callable

import pytest

from roost.clock import now_ms
from tests.live.crowd import crowd
from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(240)

PEOPLE = 30
MESSAGES = 200
RATE = 100.0


async def test_a_killed_pusher_forgets_no_wake_up(system: System, tell: Callable[..., None]) -> None:
    async with crowd(system.http, "hardy", PEOPLE, contacts=6, seed=20_260_242) as people:
        names = list(people.people)
        early, late, sender = names[:4], names[4:8], names[20]
        sleepers = early + late
        for name in sleepers:
            await people.people[name].expect_pushes(f"phone-of-{name}")

        async def unwoken() -> str:
            pushed = {each["token"] for each in await system.pushes()}
            return ", ".join(name for name in sleepers if f"phone-of-{name}" not in pushed)

        await asyncio.gather(*(people.people[name].close() for name in early))
        talking = asyncio.create_task(people.talk(MESSAGES, RATE))
        for name in early:
            await people.say(sender, name)
        await asyncio.gather(*(people.people[name].close() for name in late))
        async with system.killed("pusher") as row:
            struck_ms = now_ms()
            for name in late:
                await people.say(sender, name)
        tell("pusher back, as status says", row["back_s"])
        await talking
        await until(unwoken, within=60)
        pushes = await system.pushes()
        woken = {each["token"]: each["at_ms"] for each in pushes}
        last = max(woken[f"phone-of-{name}"] for name in late)
        tell("pusher killed, last phone woken", (last - struck_ms) / 1000)
        assert last > struck_ms, "all were woken before it died"
        await asyncio.gather(*(people.people[name].open() for name in sleepers))
        await people.settle(within=90)
        people.check()
        await people.check_watermarks()
    for push in pushes:
        shown = str(push["message"]).replace(push["token"], "")
        assert not [name for name in names if name in shown], push
