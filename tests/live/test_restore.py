"""A system is stopped and started again, and an older copy of its data is put back.

The tests run in their order, and each finds what the one before left.
"""

import shutil
from collections.abc import Iterator

import aiohttp
import pytest
from pymongo import MongoClient

from roost import client as sdk
from tests.live.app import PASSWORD
from tests.live.conftest import Machine
from tests.live.running import System
from tests.live.stored import stored_messages
from tests.live.waiting import until

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
        self.stores = {name: sdk.MemoryKeystore() for name in ("ann", "ben", "cat")}
        self.kept: list[int] = []
        self.gone: list[int] = []

    async def register(self) -> None:
        async with sdk.connections() as http:
            for name, store in self.stores.items():
                client = await sdk.Client.register(
                    self.system.http, name, PASSWORD, keystore=store, http=http
                )
                await client.close()

    def resumed(self, name: str, http: aiohttp.ClientSession, heard: list[sdk.Event]) -> sdk.Client:
        profile = self.stores[name].load()
        assert profile is not None
        profile.server = self.system.http  # its port is another one after each start
        return sdk.Client.resume(self.stores[name], http=http, options=sdk.Options(on_event=heard.append))

    async def said(self, text: str, to: str, count: int, *, missed: bool = False) -> list[int]:
        """Have ann say something; returns the numbers under which it came, once each, in order.

        With ``missed`` the clients know of entries that are not there any more, and are told so.
        """
        heard: list[sdk.Event] = []
        async with sdk.connections() as http:
            ann, other = self.resumed("ann", http, heard), self.resumed(to, http, heard)
            await ann.start()
            await other.start()
            for number in range(count):
                await ann.send(to, f"{text} {number}")
            await until(lambda: _waiting(ann), within=60)
            await ann.close()
            await other.close()
        assert missed or not [event for event in heard if isinstance(event, sdk.Missed)]
        return numbers(heard, text, count)

    async def left(self, text: str, to: str, count: int) -> None:
        """Have ann say something to somebody who is not there."""
        async with sdk.connections() as http:
            ann = self.resumed("ann", http, [])
            await ann.start()
            for number in range(count):
                await ann.send(to, f"{text} {number}")
            await until(lambda: _unaccepted(ann), within=60)
            await ann.close()

    async def found(self, text: str, by: str, count: int) -> list[int]:
        """Have somebody come, who finds what was left; returns its numbers."""
        heard: list[sdk.Event] = []
        async with sdk.connections() as http:
            client = self.resumed(by, http, heard)
            await client.start()
            await until(lambda: "" if len(messages(heard)) >= count else f"{messages(heard)}", within=60)
            await client.close()
        assert not [event for event in heard if isinstance(event, sdk.Missed)]
        return numbers(heard, text, count)


def _waiting(client: sdk.Client) -> str:
    waiting = len(client.profile.state.outbox)
    return f"{waiting} are not delivered" if waiting else ""


def _unaccepted(client: sdk.Client) -> str:
    waiting = [item.id for item in client.profile.state.outbox.values() if item.seq is None]
    return f"not accepted: {waiting}" if waiting else ""


def messages(heard: list[sdk.Event]) -> list[sdk.MessageReceived]:
    return [event for event in heard if isinstance(event, sdk.MessageReceived)]


def numbers(heard: list[sdk.Event], text: str, count: int) -> list[int]:
    assert not [event for event in heard if isinstance(event, sdk.Failed | sdk.Undecryptable)]
    assert [event.text for event in messages(heard)] == [f"{text} {number}" for number in range(count)]
    found = [event.seq for event in messages(heard)]
    assert found == sorted(set(found))
    return found


def bases(system: System) -> dict[int, int]:
    with MongoClient[dict[str, int]](system.mongo) as mongo:
        return {state["_id"]: state["base"] for state in mongo["roost"]["log"].find()}


@pytest.fixture(scope="module")
def house(machine: Machine) -> Iterator[House]:
    yield House(machine.own().start())
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
