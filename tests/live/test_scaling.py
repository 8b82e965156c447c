"""Roles come and go while people talk: nothing is lost, doubled or reordered, and no one sees an error."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.live.crowd import Crowd, crowd
from tests.live.running import System
from tests.live.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

PEOPLE = 30
MESSAGES = 200
RATE = 40.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(system: System) -> AsyncIterator[Crowd]:
    async with crowd(system.http, "mover", PEOPLE, contacts=5, seed=20_261_123) as gathered:
        await gathered.talk(60, RATE)
        await gathered.settle(within=60)
        yield gathered


async def verb(system: System, *words: str) -> tuple[int, str, str]:
    """Run a verb of the operator; returns exit status, stdout, stderr."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "roost", *words, "--data", str(system.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def owners(system: System) -> dict[str, int]:
    status = await system.status()
    return {row["name"]: row["shards"] for row in status["roles"] if row["role"] == "host"}


@pytest.mark.parametrize(
    ("wishes", "left"),
    [
        ([("scale", "host=4", "router=3", "gateway=3")], Counter(host=4, router=3, gateway=3, pusher=1)),
        (
            [("drain", "host-1"), ("scale", "host=2", "router=2", "gateway=2", "pusher=2")],
            Counter(host=2, router=2, gateway=2, pusher=2),
        ),
    ],
    ids=["up", "down"],
)
async def test_roles_come_and_go_under_traffic(
    system: System, people: Crowd, wishes: list[tuple[str, ...]], left: Counter[str]
) -> None:
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    for wish in wishes:
        status, said, complaints = await verb(system, *wish)
        assert status == 0, complaints
        if len(wishes) > 1:  # hosts leave
            assert "unacknowledged entries" in said
            assert "0 are missing" in said
    await talking
    await people.settle(within=60)
    people.check()
    await people.check_watermarks()
    found = await system.status()
    roles = Counter(row["role"] for row in found["roles"] if row["role"] in left)
    assert roles == left
    assert sum((await owners(system)).values()) == found["shards"]


async def test_a_change_outlives_its_coordinator(system: System, people: Crowd) -> None:
    before = await system.roles()
    talking = asyncio.create_task(people.talk(MESSAGES, RATE))
    upgrading = asyncio.create_task(verb(system, "upgrade"))
    await until(lambda: begun(system, before), within=60)
    [coordinator] = [row for row in before if row["role"] == "coordinator"]
    os.kill(coordinator["pid"], signal.SIGKILL)
    status, _, complaints = await upgrading
    assert status == 1
    assert "finishes the step" in complaints
    await until(lambda: settled(system), within=60)
    await talking
    await people.settle(within=60)
    people.check()
    # The new one hears of the servers from who runs them, every few seconds.
    await until(lambda: as_many(system, before), within=60)
    after = await system.roles()
    assert {row["name"] for row in after} != {row["name"] for row in before}


async def begun(system: System, before: list[dict[str, Any]]) -> str:
    """Return why a role was not replaced yet."""
    names = {row["name"] for row in await system.roles()}
    return "" if names - {row["name"] for row in before} else "no role was replaced yet"


async def settled(system: System) -> str:
    """Return why some role is coming, leaving or away."""
    rows = await system.roles()
    away = [row["name"] for row in rows if row["state"] != "running" or row.get("detail")]
    return f"not settled: {away or 'no answer'}" if away or not rows else ""


async def as_many(system: System, before: list[dict[str, Any]]) -> str:
    """Return why there are not as many of each role as there were."""
    counts = [Counter(row["role"] for row in rows) for rows in (await system.roles(), before)]
    return "" if counts[0] == counts[1] else f"now {counts[0]}, before {counts[1]}"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("scale", "host=0"), "from 1 to 1000"),
        (("scale", "horse=2"), "no role 'horse'"),
        (("scale", "host"), "ROLE=N"),
        (("drain", "host-99"), "no role and no machine"),
        (("drain", "127.0.0.1"), "the only machine"),
        (("undrain", "127.0.0.9"), "no role and no machine"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(
    system: System, words: tuple[str, ...], reason: str
) -> None:
    status, said, complaints = await verb(system, *words)
    assert (status, said) == (2, "")
    assert reason in complaints
