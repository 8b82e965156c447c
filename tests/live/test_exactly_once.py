"""G1: a message is told to the recipient's app exactly once, in order, and the sender learns it."""

import asyncio

import pytest

from tests.live.crowd import Crowd, crowd
from tests.live.running import System

PEOPLE = 100
MESSAGES = 4_000
SEED = 20_260_117


async def press(people: Crowd, count: int) -> None:
    for _ in range(count // 50):
        await asyncio.gather(*(people.send_one() for _ in range(50)))
        await asyncio.sleep(0.02)


@pytest.mark.timeout(240)
async def test_each_message_is_told_once_while_sockets_drop_and_a_host_dies(system: System) -> None:
    async with crowd(system.http, "many", PEOPLE, contacts=10, seed=SEED) as people:
        fickle = list(people.people)[::2]
        dropping = asyncio.create_task(people.drop_sockets(fickle, every=0.1))
        await press(people, MESSAGES // 2)
        async with system.killed("host"):
            await press(people, MESSAGES // 2)
        people.calm.set()
        await dropping
        await people.settle(within=90)
        people.check()
        await people.check_watermarks()
        reconnects = sum(people.people[name].connections - 1 for name in fickle)
        assert reconnects > 50, "too few sockets dropped for the test to mean anything"
