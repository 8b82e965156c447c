"""A system is stopped and started again, and an older copy of its data is put back.

The tests run in their order, and each finds what the one before left.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from pymongo import MongoClient

from cluster.local.servers import free_port
from roost import client as sdk
from tests.live.app import App
from tests.live.running import System
from tests.live.stored import stored_messages
from tests.live.waiting import until
from tests.machine import Machine

pytestmark = pytest.mark.timeout(240)

STEP = 2**32


class House:
    """Ann writes to Ben, who is there, and to Cat, who comes later.

    Attributes:
        kept: Numbers of what was said before the copy was made.
        gone: Numbers of what was said after it.
    """

    def __init__(self, system: System) -> None:
        self.system, self.copy = system, system.folder / "copy"
        self.kept: list[int] = []
        self.gone: list[int] = []
        self._apps: dict[str, App] = {}

    async def register(self) -> None:
        async with sdk.connections() as http:
            for name in ("ann", "ben", "cat"):
                self._apps[name] = await App(self.system.http, name, http).join()
                await self._apps[name].leave()

    @asynccontextmanager
    async def there(self, *names: str) -> AsyncIterator[list[App]]:
        """Connect someone who has been told nothing yet."""
        async with sdk.connections() as http:
            apps = [self._apps[name] for name in names]
            for app in apps:
                app.http, app.told = http, []
                await app.come_back()
            try:
                yield apps
            finally:
                for app in apps:
                    await app.leave()

    async def said(self, text: str, to: str, count: int, *, missed: bool = False) -> list[int]:
        """Have ann say something; returns the numbers under which it came, once each, in order.

        With ``missed`` the clients know of entries that are not there any more, and are told so.
        """
        async with self.there("ann", to) as (ann, other):
            for number in range(count):
                await ann.client.send(to, f"{text} {number}")
            await ann.gets(lambda: not ann.client.profile.state.outbox, "every delivery", within=60)
        assert missed or not [*ann.all(sdk.Missed), *other.all(sdk.Missed)]
        return numbers(ann, other, text, count)

    async def left(self, text: str, to: str, count: int) -> None:
        """Have ann say something to someone who is away."""
        async with self.there("ann") as (ann,):
            for number in range(count):
                await ann.client.send(to, f"{text} {number}")
            await ann.gets(lambda: len(ann.all(sdk.Accepted)) == count, "every answer", within=60)

    async def found(self, text: str, by: str, count: int) -> list[int]:
        """Have someone come who finds what was left; returns its numbers."""
        async with self.there(by) as (app,):
            await app.gets(lambda: len(app.texts()) >= count, "every message", within=60)
        assert not app.all(sdk.Missed)
        return numbers(app, app, text, count)


def numbers(sender: App, other: App, text: str, count: int) -> list[int]:
    assert not [*sender.all(sdk.Failed), *other.all(sdk.Undecryptable)]
    assert other.texts() == [f"{text} {number}" for number in range(count)]
    found = [event.seq for event in other.all(sdk.MessageReceived)]
    assert found == sorted(set(found))
    return found


def bases(system: System) -> dict[int, int]:
    with MongoClient[dict[str, int]](system.mongo) as mongo:
        return {state["_id"]: state["base"] for state in mongo["roost"]["log"].find()}


@pytest.fixture(scope="module")
def house(machine: Machine) -> Iterator[House]:
    yield House(machine.own("--port", str(free_port())).start())
    machine.end_own()


async def test_a_second_start_goes_on_where_the_first_one_was_stopped(house: House) -> None:
    system = house.system
    await house.register()
    house.kept = await house.said("before the night", "ben", 20)
    await house.left("while you were away", "cat", 10)
    before = bases(system)
    assert system.stop() == 0
    assert system.further == "", "`--json` prints one line only"
    shutil.copytree(system.data, house.copy)

    system.start()
    raised = bases(system)
    assert all(raised[shard] >= base + STEP for shard, base in before.items()), (before, raised)
    house.kept += await house.found("while you were away", "cat", 10)
    house.gone = await house.said("after the night", "ben", 5)
    assert min(house.gone) > max(house.kept)


async def test_a_copy_that_is_put_back_has_what_it_had_and_gives_no_number_again(house: House) -> None:
    system = house.system
    assert system.stop() == 0
    shutil.rmtree(system.data)
    shutil.copytree(house.copy, system.data)

    system.start()
    further = await house.said("further", "ben", 5, missed=True)
    assert min(further) > max(house.gone)
    everything = sorted([*house.kept, *further])

    def missing() -> str:
        found = [entry.seq for entry in stored_messages(system)]
        return "" if found == everything else f"stored are {found}, and not {everything}"

    await until(missing, within=10)
