"""The kernel tells of the end of a process."""

import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from cluster.supervision.process_exit import ExitWatch

WITHIN_S = 10.0


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


async def test_a_killed_process_is_seen(child: "subprocess.Popen[bytes]") -> None:
    ended = asyncio.Event()
    watch = ExitWatch(ended.set)
    watch.watch(child.pid)
    await asyncio.sleep(0)
    assert not ended.is_set()
    child.kill()
    async with asyncio.timeout(WITHIN_S):
        await ended.wait()


async def test_a_process_that_is_already_gone_is_noticed(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.wait()
    ended = asyncio.Event()
    ExitWatch(ended.set).watch(child.pid)
    assert ended.is_set()


async def test_an_ended_subscription_gets_no_presence(child: "subprocess.Popen[bytes]") -> None:
    second = subprocess.Popen(["sleep", "60"])
    told: list[str] = []
    watch = ExitWatch(lambda: told.append("ended"))
    watch.watch(second.pid)
    watch.watch(child.pid)
    second.kill()
    second.wait()
    await asyncio.sleep(0.05)
    assert told == []
    watch.stop()
