"""G1: what was sent is told to the recipient's app exactly once, in order, and the sender learns it."""

import asyncio

import pytest

from tests.live.crowd import crowd
from tests.live.running import System

PEOPLE = 200
MESSAGES = 10_000
SEED = 20_260_117


@pytest.mark.timeout(400)
async def test_each_of_ten_thousand_messages_is_told_once_while_sockets_drop(system: System) -> None:
    async with crowd(system.http, "many", PEOPLE, contacts=10, seed=SEED) as people:
        fickle = list(people.people)[::2]
        dropping = asyncio.create_task(people.drop_sockets(fickle, every=0.1))
        for _ in range(MESSAGES // 50):
            await asyncio.gather(*(people.send_one() for _ in range(50)))
            await asyncio.sleep(0.02)
        people.calm.set()
        await dropping
        await people.settle(within=90)
        people.check()
        await people.check_watermarks()
        reconnects = sum(people.people[name].reconnects for name in fickle)
        assert reconnects > 50, "too few sockets dropped for the test to mean anything"
