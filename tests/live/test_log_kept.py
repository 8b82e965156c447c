"""The embedded log outlives everything that runs: what was accepted is stored by the next life."""

import asyncio
import os
import signal
from collections.abc import Callable

import psutil
import pytest
from pymongo import AsyncMongoClient

from cluster.local.servers import free_port
from roost import client as sdk
from storage.kafka_log import KafkaLogAdmin
from tests.live.app import App
from tests.live.crowd import crowd
from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(300)

COUNT = 60
FORGETS = "keeps nothing across a crash of its own"


def kill_all(system: System) -> None:
    """``kill -9`` of everything at once, as when the machine loses its power."""
    doomed = system.processes()
    for each in doomed:
        os.kill(each.pid, signal.SIGSTOP)  # so that no process sees another's end and acts on it
    for each in doomed:
        os.kill(each.pid, signal.SIGKILL)
    system.wait()
    psutil.wait_procs(doomed, timeout=20)
    assert not [each for each in system.processes() if each in doomed]


async def test_what_was_accepted_and_not_stored_outlives_kill_9_of_everything(
    own_system: Callable[..., System],
) -> None:
    system = own_system("--port", str(free_port())).start()
    async with sdk.connections() as http:
        ann, ben = App(system.http, "ann", http), App(system.http, "ben", http)
        await ann.join()
        await ben.join()
        await ann.client.send("ben", "before")
        await ben.gets(ben.texts, "the first message")
        bases = await _bases(system)
        await ben.leave()
        [store] = await system.roles("mongo")
        os.kill(store["pid"], signal.SIGSTOP)
        for number in range(COUNT):
            await ann.client.send("ben", f"kept {number}")
        await ann.gets(lambda: len(ann.all(sdk.Accepted)) > COUNT, "every answer", within=60)
        kill_all(system)
        await ann.leave()  # no one is left who could send it again
        system.start()
        assert FORGETS not in system.tail()
        await ben.come_back()
        await ben.gets(lambda: len(ben.texts()) > COUNT, "every message", within=60)
        assert ben.texts() == ["before", *(f"kept {number}" for number in range(COUNT))]
        assert await _bases(system) == bases, "the log was found, not recreated"
        await ben.leave()


@pytest.mark.slow
async def test_a_trimmed_log_is_no_lost_log(own_system: Callable[..., System]) -> None:
    system = own_system(
        "--port", str(free_port()), env={"ROOST_SHARDS": "2", "ROOST_LOG__KEEP_S": "1"}
    ).start()
    admin = KafkaLogAdmin(system.kafka)
    await admin.start()

    async def untrimmed() -> str:
        starts = await admin.starts("mailbox")
        return "" if all(starts.values()) else f"the log begins at {starts}"

    async with crowd(system.http, "trim", 20, contacts=5, seed=20_261_128) as people:
        bases = await _bases(system)
        await people.talk(150, 50.0)
        await people.settle(within=60)
        await until(untrimmed, within=90, every=0.5)
        await admin.close()
        for role in ("router", "pusher", "kafka"):
            talking = asyncio.create_task(people.talk(100, 50.0))
            async with system.killed(role):
                await talking
        await people.settle(within=60)
        assert await _bases(system) == bases
        system.stop()
        system.start()
        assert min((await _bases(system)).values()) > max(bases.values()), "the copy of a folder is no trap"
        await people.talk(100, 50.0)
        await people.settle(within=60)
        people.check()


async def _bases(system: System) -> dict[int, int]:
    async with AsyncMongoClient[dict[str, int]](system.mongo) as mongo:
        return {state["_id"]: state["base"] async for state in mongo["roost"]["log"].find()}
