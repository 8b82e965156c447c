"""A spare takes the place of a role that is killed, and nothing is lost, doubled or reordered by it."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.live.crowd import Crowd, crowd
from tests.live.running import System
from tests.live.stored import stored_messages
from tests.live.waiting import until

PEOPLE = 40
MESSAGES = 300
RATE = 60.0
SEED = 20_261_128

OwnSystem = Callable[..., System]


async def _row(system: System, name: str) -> dict[str, Any]:
    """Return the row of a role or spare that runs."""
    rows: list[dict[str, Any]] = []

    async def absent() -> str:
        rows[:] = [row for row in await system.roles() if row["name"] == name and row["state"] == "running"]
        return "" if rows else f"{name} does not run: {await system.status()}"

    await until(absent, within=60)
    return rows[0]


async def _killed_in_the_middle(system: System, people: Crowd, name: str) -> tuple[int, int]:
    """Kill a role while people talk; return the spare's process before, and the role's afterwards."""
    spare = await _row(system, "spare-1")
    victim = await _row(system, name)
    went = people.count
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    await until(lambda: "" if people.count - went > MESSAGES // 3 else "too little was said", within=60)
    os.kill(victim["pid"], signal.SIGKILL)
    await talking
    await people.settle(within=90)
    people.check()
    await people.check_watermarks()
    return spare["pid"], (await _row(system, name))["pid"]


@pytest.mark.timeout(300)
async def test_a_spare_takes_the_place_of_whoever_is_killed(own_system: OwnSystem) -> None:
    system = own_system().start()
    async with crowd(system.http, "spared", PEOPLE, contacts=5, seed=SEED) as people:
        for name in ("host-1", "router-1"):
            spare, heir = await _killed_in_the_middle(system, people, name)
            assert heir == spare, f"{name} came back as another process than the spare's"
        sent = sorted(each for ids in people.sent.values() for each in ids)
        await until(lambda: _unstored(system, sent), within=30)
        assert (await _row(system, "spare-1"))["taken"] == 2
        assert _stored_in_order(system, people.sent) == people.sent
    assert system.stop() == 0


def _unstored(system: System, sent: list[str]) -> str:
    stored = sorted(entry.cause for entry in stored_messages(system))
    return "" if stored == sent else f"{len(sent)} messages were sent, {len(stored)} are in the store"


def _stored_in_order(system: System, sent: dict[tuple[str, str], list[str]]) -> dict[Any, list[str]]:
    """Return the ids of each pair in the order of the store."""
    pair_of = {message_id: pair for pair, ids in sent.items() for message_id in ids}
    found: dict[Any, list[str]] = {pair: [] for pair in sent}
    for entry in stored_messages(system):
        found[pair_of[entry.cause]].append(entry.cause)
    return found


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_without_spares_a_new_process_comes(own_system: OwnSystem) -> None:
    system = own_system(env={"ROOST_CLUSTER__SPARES": "0"}).start()
    async with crowd(system.http, "unspared", 4, contacts=2, seed=SEED) as people:
        async with system.killed("host"):
            await people.talk(20, RATE)
        await people.settle(within=60)
        people.check()
    assert not await system.roles("spare")
    assert system.stop() == 0
