"""An older copy of the data is put back: what it has is there, and no number is given out again."""

import shutil
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import pytest
from pymongo import MongoClient

from roost import client as sdk
from tests.live.crowd import PASSWORD
from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(240)

Stores = Mapping[str, sdk.MemoryKeystore]


async def test_a_copy_that_is_put_back_has_what_it_had_and_gives_no_number_again(
    own_system: Callable[..., System],
) -> None:
    system = own_system()
    copy = system.folder / "copy"
    stores = {name: sdk.MemoryKeystore() for name in ("ann", "ben")}
    system.start()
    await registered(system, stores)
    kept = await said(system, stores, "kept", 10)
    assert system.stop() == 0
    shutil.copytree(system.data, copy)

    system.start()
    gone = await said(system, stores, "gone", 5)
    assert system.stop() == 0
    shutil.rmtree(system.data)
    shutil.copytree(copy, system.data)

    system.start()
    further = await said(system, stores, "further", 5)
    assert kept[-1] < gone[0]
    assert gone[-1] < further[0]
    assert stored(system) == [*kept, *further]


async def registered(system: System, stores: Stores) -> None:
    async with sdk.connections() as http:
        for name, store in stores.items():
            client = await sdk.Client.register(system.http, name, PASSWORD, keystore=store, http=http)
            await client.close()


async def said(system: System, stores: Stores, text: str, count: int) -> list[int]:
    """Have ann say something to ben; returns the numbers under which he received it, once each, in order."""
    heard: list[sdk.Event] = []
    async with sdk.connections() as http:
        ann, ben = [resumed(system, store, http, heard) for store in stores.values()]

        def missing() -> str:
            waiting = len(ann.profile.state.outbox)
            return f"{len(messages(heard))} came, outbox {waiting}" if waiting else ""

        await ann.start()
        await ben.start()
        for number in range(count):
            await ann.send("ben", f"{text} {number}")
        await until(missing, within=60)
        await ann.close()
        await ben.close()
    assert not [event for event in heard if isinstance(event, sdk.Failed | sdk.Undecryptable)]
    assert [event.text for event in messages(heard)] == [f"{text} {number}" for number in range(count)]
    return [event.seq for event in messages(heard)]


def resumed(
    system: System, store: sdk.MemoryKeystore, http: aiohttp.ClientSession, heard: list[sdk.Event]
) -> sdk.Client:
    profile = store.load()
    assert profile is not None
    profile.server = system.http
    return sdk.Client.resume(store, http=http, options=sdk.Options(on_event=heard.append))


def messages(heard: list[sdk.Event]) -> list[sdk.MessageReceived]:
    return [event for event in heard if isinstance(event, sdk.MessageReceived)]


def stored(system: System) -> list[int]:
    """Return the numbers of the messages in ben's mailbox."""
    with MongoClient[dict[str, Any]](system.mongo) as mongo:
        rows = mongo["roost"]["mailbox"].find({"k": "m"})
        return sorted(row["s"] for row in rows)
