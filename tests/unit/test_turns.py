"""Turns: the lines take turns, nobody's turn is lost, and a full line refuses its own."""

import asyncio

import pytest

from api.identity.turns import Turns
from roost.errors import Unavailable


class Bench:
    """Workers of several lines, each of which works until it is let go."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def begin(self, *names: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._work(name)) for name in names]
        await self._settled()
        return tasks

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._settled()

    async def _settled(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def _work(self, name: str) -> None:
        self._ends[name] = asyncio.Event()
        async with self._turns.of(name[0]):
            self.begun.append(name)
            await self._ends[name].wait()


@pytest.mark.attack(
    "hold up the log-ins of others by many of one's own",
    "addresses take turns at the two threads that hash",
)
async def test_one_of_another_line_is_next_after_one_of_a_long_line() -> None:
    bench = Bench(Turns(2, line=10, total=20))
    tasks = await bench.begin("a1", "a2", "a3", "a4", "a5", "b1", "c1", "b2")
    for name in ("a1", "a2", "a3", "b1", "c1", "a4", "b2", "a5"):
        await bench.end(name)
    assert bench.begun == ["a1", "a2", "a3", "b1", "c1", "a4", "b2", "a5"]
    await asyncio.gather(*tasks)


@pytest.mark.attack("fill the queue of log-ins", "each address has a line of its own, of bounded length")
async def test_a_full_line_refuses_its_own_and_no_other() -> None:
    bench = Bench(Turns(1, line=2, total=4))
    tasks = await bench.begin("a1", "a2", "a3", "a4", "b1", "c1", "d1")
    for place in (3, 6):
        with pytest.raises(Unavailable):
            await tasks[place]
    for name in ("a1", "a2", "b1", "c1", "a3"):
        await bench.end(name)
    assert bench.begun == ["a1", "a2", "b1", "c1", "a3"]


async def test_who_leaves_the_line_takes_no_turn() -> None:
    bench = Bench(Turns(1, line=9, total=9))
    tasks = await bench.begin("a1", "a2", "b1", "c1")
    tasks[1].cancel()
    tasks[2].cancel()
    await bench.end("a1")
    assert bench.begun == ["a1", "c1"]
    await bench.end("c1")
    (late,) = await bench.begin("d1")
    assert bench.begun[-1] == "d1"
    await bench.end("d1")
    await late


async def test_a_turn_that_comes_with_the_cancellation_goes_to_the_next() -> None:
    turns = Turns(1, line=9, total=9)
    bench = Bench(turns)
    first, second, third = await bench.begin("a1", "a2", "a3")
    bench._ends["a1"].set()
    await asyncio.sleep(0)
    while not first.done():
        await asyncio.sleep(0)
    second.cancel()
    await bench._settled()
    await bench.end("a3")
    await third
