"""The times at which a host wakes its actors, while its clock is set."""

import asyncio
from typing import Any

import pytest

from actors.host.users.deadlines import Deadlines


class Residents:
    """Keeps who was woken."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.one_is_woken = asyncio.Event()

    def get(self, user: str) -> str:
        return user

    def post(self, user: str, _event: object) -> None:
        self.woken.append(user)
        self.one_is_woken.set()


@pytest.mark.parametrize("jump_ms", [0, -3_600_000, 3_600_000])
async def test_an_actor_is_woken_in_time_though_the_clock_jumps(jump_ms: int) -> None:
    residents: Any = Residents()
    now = [10_000_000]
    deadlines = Deadlines(residents, lambda: now[0])
    running = asyncio.create_task(deadlines.run())
    deadlines.add(now[0] + 5, "alice")
    await asyncio.sleep(0)
    now[0] += jump_ms
    deadlines.add(now[0] + 30_000, "bob")
    await asyncio.sleep(0)
    now[0] += 5
    deadlines.add(now[0] + 40_000, "carol")
    async with asyncio.timeout(5):
        await residents.one_is_woken.wait()
    running.cancel()
    assert residents.woken[0] == "alice"
