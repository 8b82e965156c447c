"""The watch of the store: what counts as an answer, and when none has come for long."""

import asyncio
from typing import Any, cast

import pytest

from cluster.ops import store_watch
from cluster.ops.store_watch import StoreWatch
from roost.errors import Unavailable


class Store:
    def __init__(self) -> None:
        self.away = False
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def waiting_dead_letters(self, most: int) -> int:
        self.asked += 1
        await self.answers.wait()
        if self.away:
            raise Unavailable("MongoDB is away.")
        return min(most, 3)


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_store_is_away_while_it_hangs_or_refuses(
    monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    monkeypatch.setattr(store_watch, "EVERY_S", 0.001)
    store, now = Store(), [0.0]
    watch = StoreWatch(cast("Any", store), lambda: now[0])
    task = asyncio.create_task(watch.run())

    async def asked_again() -> None:
        before = store.asked
        while store.asked < before + 2:
            await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await asked_again()
        assert (watch.dead_letters, watch.away_s) == (3, 0.0)
        if hangs:
            store.answers.clear()
            await asyncio.sleep(0.01)
        else:
            store.away = True
            await asked_again()
        now[0] = 1.0
        assert watch.away_s == 0.0
        now[0] = 5.0
        assert watch.away_s == 5.0
        store.away = False
        store.answers.set()
        await asked_again()
        assert watch.away_s == 0.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
