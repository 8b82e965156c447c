"""A stop tells the truth: what hangs holds it up for a while only, and what is not stored is said."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.live.crowd import Crowd, crowd
from tests.live.running import System

pytestmark = pytest.mark.timeout(300)

PEOPLE = 8
LATE = 12
ANSWERED_S = 8.0
BOUND_S = 120.0

OwnSystem = Callable[..., System]


async def accepted_late(people: Crowd) -> int:
    """Say some more, whatever hangs; returns how many of it were accepted."""
    names = list(people.people)
    figures = people.context.board.figures
    before = figures.accepted
    for n in range(LATE):
        await people.say(names[n % PEOPLE], names[(n + 1) % PEOPLE])
    ends = time.monotonic() + ANSWERED_S
    while figures.accepted < before + LATE and time.monotonic() < ends:
        await asyncio.sleep(0.1)
    return figures.accepted - before


async def stopped_while_frozen(
    system: System, roles: tuple[str, ...], tell: Callable[..., None]
) -> tuple[int, str]:
    """Stop the system while processes of it hang; returns what was accepted meanwhile, and what was said.

    The first of them hangs while some more is said, the others from then on.
    """
    async with crowd(system.http, "late", PEOPLE, contacts=3, seed=20_261_128) as people:
        await people.talk(40, 40.0)
        await people.settle(within=30)
        pids = [(await system.roles(role))[0]["pid"] for role in roles]
        os.kill(pids[0], signal.SIGSTOP)
        accepted = await accepted_late(people)
    for pid in pids[1:]:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    down = subprocess.Popen(
        [sys.executable, "-m", "roost", "down", "--data", str(system.data)],
        stderr=subprocess.PIPE,
        text=True,
    )
    status = await asyncio.to_thread(system.wait, BOUND_S)  # it is our child: `down` sees its end then
    tell(f"{', '.join(roles)} hang, stopped after", time.monotonic() - began)
    words = down.communicate(timeout=30)[1]
    assert (status, down.returncode) == (1, 1), words
    said = (system.folder / "up.log").read_text()
    assert [line for line in words.splitlines()[1:] if line not in said] == []
    assert "\nstopped\n" not in said + words
    return accepted, words


def unstored(words: str) -> int:
    said = r"^(\d+) accepted records are not stored \((.*)\)\. The log keeps them"
    found = re.search(said, words, re.MULTILINE)
    assert found, words
    assert sum(map(int, re.findall(r"(\d+) of shard \d+", found[2]))) == int(found[1])
    return int(found[1])


@pytest.mark.slow
async def test_a_stop_while_the_store_hangs(own_system: OwnSystem, tell: Callable[..., None]) -> None:
    accepted, words = await stopped_while_frozen(own_system().start(), ("mongo",), tell)
    assert unstored(words) >= accepted > 0
    assert "The embedded mongo server did not stop within 10 s, and was killed." in words


@pytest.mark.slow
async def test_a_stop_while_a_host_and_the_broker_hang(
    own_system: OwnSystem, tell: Callable[..., None]
) -> None:
    accepted, words = await stopped_while_frozen(own_system().start(), ("host", "kafka"), tell)
    assert unstored(words) >= accepted > 0
    assert "host-1 did not stop in order within 15 s" in words
    assert "The embedded kafka server did not stop within 10 s, and was killed." in words


@pytest.mark.slow
async def test_a_stop_while_the_coordinator_hangs(own_system: OwnSystem, tell: Callable[..., None]) -> None:
    system = own_system(env={"ROOST_KAFKA__EMBEDDED": "tansu"}).start()
    _, words = await stopped_while_frozen(system, ("coordinator",), tell)
    assert "The roles did not stop in order: " in words
    assert "are not stored: the coordinator did not say. The embedded log keeps nothing" in words
