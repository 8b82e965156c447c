"""The embedded log is cut off where everything is stored, and nobody takes that for a loss."""

import asyncio
from collections.abc import Callable

import pytest

from cluster.local.servers import free_port
from storage.kafka_log import KafkaLogAdmin
from tests.live.crowd import crowd
from tests.live.house import bases
from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(300)


@pytest.mark.slow
async def test_a_trimmed_log_is_no_lost_log(own_system: Callable[..., System]) -> None:
    system = own_system(
        "--port", str(free_port()), env={"ROOST_SHARDS": "2", "ROOST_LOG__KEEP_S": "1"}
    ).start()
    admin = KafkaLogAdmin(system.kafka, access=system.log_access)
    await admin.start()

    async def untrimmed() -> str:
        starts = await admin.starts("mailbox")
        return "" if all(starts.values()) else f"the log begins at {starts}"

    async with crowd(system.http, "trim", 20, contacts=5, seed=20_261_128) as people:
        before = bases(system)
        await people.talk(150, 50.0)
        await people.settle(within=60)
        await until(untrimmed, within=90, every=0.5)
        await admin.close()
        for role in ("router", "pusher", "kafka"):
            talking = asyncio.create_task(people.talk(100, 50.0))
            async with system.killed(role):
                await talking
        await people.settle(within=60)
        assert bases(system) == before
        system.stop()
        system.start()
        assert min(bases(system).values()) > max(before.values()), "the copy of a folder is no trap"
        await people.talk(100, 50.0)
        await people.settle(within=60)
        people.check()
