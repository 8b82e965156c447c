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


async def _row(system: System, role: str, name: str = "") -> dict[str, Any]:
    """Return the row of a role that runs: of the one with this name, or of the first."""
    rows: list[dict[str, Any]] = []

    async def absent() -> str:
        rows[:] = [
            row for row in await system.roles(role) if name in ("", row["name"]) and row["state"] == "running"
        ]
        return "" if rows else f"no {name or role} runs: {await system.status()}"

    await until(absent, within=60)
    return rows[0]


async def _killed_in_the_middle(system: System, people: Crowd, role: str) -> tuple[int, int]:
    """Kill a role while people talk; return the spare's process before, and the role's afterwards."""
    spare, victim = await _row(system, "spare"), await _row(system, role)
    said = people.count
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    await until(lambda: "" if people.count - said > MESSAGES // 3 else "too little was said", within=60)
    os.kill(victim["pid"], signal.SIGKILL)
    await talking
    await people.settle(within=90)
    people.check()
    await people.check_watermarks()
    return spare["pid"], (await _row(system, role, victim["name"]))["pid"]


@pytest.mark.timeout(300)
async def test_a_spare_takes_the_place_of_whoever_is_killed(system: System) -> None:
    taken = (await _row(system, "spare"))["taken"]
    async with crowd(system.http, "spared", PEOPLE, contacts=5, seed=SEED) as people:
        for role in ("host", "router"):
            spare, heir = await _killed_in_the_middle(system, people, role)
            assert heir == spare, f"the {role} came back as another process than the spare's"
        assert (await _row(system, "spare"))["taken"] == taken + 2
        await until(lambda: _misplaced(system, people.sent), within=30)


def _misplaced(system: System, sent: dict[tuple[str, str], list[str]]) -> str:
    """Return what is not in the store once and in the order in which it was sent."""
    pair_of = {message_id: pair for pair, ids in sent.items() for message_id in ids}
    found: dict[tuple[str, str], list[str]] = {pair: [] for pair in sent}
    for entry in stored_messages(system):
        if entry.cause in pair_of:
            found[pair_of[entry.cause]].append(entry.cause)
    wrong = [pair for pair in sent if found[pair] != sent[pair]]
    return f"the store has others, or in another order, of {wrong[:3]}" if wrong else ""


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
