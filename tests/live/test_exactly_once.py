"""G1: a message is told to the recipient's app exactly once, in order, and the sender learns it.

Sockets drop meanwhile, and a host dies, whose place the spare takes.
"""

import asyncio

import pytest

from tests.live.crowd import Crowd, crowd
from tests.live.running import System
from tests.live.stored import stored_messages
from tests.live.waiting import until

PEOPLE = 60
MESSAGES = 3_000
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
        spare = await system.spare()
        async with system.killed("host") as row:
            await press(people, MESSAGES // 2)
        assert row["heir"] == spare["pid"], "the host came back as another process than the spare's"
        people.calm.set()
        await dropping
        await people.settle(within=90)
        people.check()
        await people.check_watermarks()
        reconnects = sum(people.people[name].connections - 1 for name in fickle)
        assert reconnects > 15, "too few sockets dropped for the test to mean anything"
        await until(lambda: _misplaced(system, people.sent), within=30)
        assert (await system.spare())["taken"] == spare["taken"] + 1


def _misplaced(system: System, sent: dict[tuple[str, str], list[str]]) -> str:
    """Return what is not in the store once and in the order in which it was sent."""
    pair_of = {message_id: pair for pair, ids in sent.items() for message_id in ids}
    found: dict[tuple[str, str], list[str]] = {pair: [] for pair in sent}
    for entry in stored_messages(system):
        if entry.cause in pair_of:
            found[pair_of[entry.cause]].append(entry.cause)
    wrong = [pair for pair in sent if found[pair] != sent[pair]]
    return f"the store has others, or in another order, of {wrong[:3]}" if wrong else ""
