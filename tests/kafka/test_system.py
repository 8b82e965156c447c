"""A system on one broker of Apache Kafka: broker, log and routers come to harm while people talk."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from sim.faults.proxy import Proxy
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader
from tests.kafka.conftest import Kafka, MakeKafka, MakeRoost, events
from tests.kafka.test_brokers import retain
from tests.live.crowd import Crowd, crowd
from tests.live.running import System, frozen
from tests.live.test_scaling import verb
from tests.live.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150)]

PEOPLE = 24
RATE = 60.0
STEP = 2**32
TAKEN_OVER_S = 3.0

Tell = Callable[[str, float], None]


@asynccontextmanager
async def shut_out(proxy: Proxy, pid: int) -> AsyncIterator[None]:
    """Cut this process's connections to the broker, and refuse it new ones."""

    def is_of(port: int) -> bool:
        return port in {each.laddr[1] for each in psutil.Process(pid).net_connections("tcp")}

    proxy.refuses = is_of
    proxy.cut(is_of)
    try:
        yield
    finally:
        proxy.refuses = lambda _port: False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy() -> AsyncIterator[Proxy]:
    async with Proxy() as before_the_broker:
        yield before_the_broker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(proxy: Proxy, make_kafka: MakeKafka) -> Kafka:
    made = await asyncio.to_thread(make_kafka, advertised={1: proxy.address})
    proxy.target = made.specs[0].address
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(kafka: Kafka, make_roost: MakeRoost) -> AsyncIterator[System]:
    made = make_roost(kafka.url, "--routers", "2")
    yield await made.started()
    await asyncio.to_thread(made.stop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(system: System) -> AsyncIterator[Crowd]:
    async with crowd(system.http, "kafka", PEOPLE, contacts=3, seed=20_261_124) as gathered:
        await gathered.talk(60, RATE)
        await gathered.settle(within=30)
        yield gathered


async def accounted(people: Crowd) -> None:
    await people.settle(within=60)
    people.check()
    await people.check_watermarks()


async def test_a_topic_with_another_number_of_partitions_is_refused(
    system: System, kafka: Kafka, tmp_path: Path
) -> None:
    assert system.running
    up = (sys.executable, "-m", "roost", "up", "--json", "--port", "0", "--data", str(tmp_path / "data"))
    other = await asyncio.to_thread(
        subprocess.run,
        ["env", "ROOST_SHARDS=5", *up, "--kafka", kafka.url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (other.returncode, other.stdout) == (2, "")
    assert "The topic mailbox has 4 partitions" in other.stderr
    assert "Set ROOST_SHARDS=4, or use another Kafka cluster." in other.stderr
    assert "Traceback" not in other.stderr


async def test_a_killed_broker_comes_back_and_nothing_is_lost(
    system: System, kafka: Kafka, people: Crowd, tell: Tell
) -> None:
    talking = asyncio.create_task(people.talk(200, RATE))
    await asyncio.sleep(1)
    struck = time.monotonic()
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start_again)
    tell("broker killed, started again after", time.monotonic() - struck)
    await talking
    await accounted(people)
    tell("broker killed, slowest message", people.slowest(struck - 1))
    assert not events(system, "log_lost"), "a broker that comes back with its log is no loss of it"


@asynccontextmanager
async def killed(pid: int) -> AsyncIterator[None]:
    os.kill(pid, signal.SIGKILL)
    yield


@pytest.mark.parametrize("how", ["killed", "stopped", "cut_off"])
async def test_the_shards_of_a_router_that_is_gone_are_taken_over_until_it_is_back(
    how: str, system: System, proxy: Proxy, people: Crowd, tell: Tell
) -> None:
    faults: dict[str, Callable[[int], AbstractAsyncContextManager[None]]] = {
        "killed": killed,
        "stopped": frozen,
        "cut_off": partial(shut_out, proxy),
    }
    await until(lambda: _unbalanced(system), within=30)
    first, second = sorted(await system.roles("router"), key=lambda row: str(row["name"]))
    before, given = len(_taken(system, second["name"])), len(_taken(system, first["name"]))
    talking = asyncio.create_task(people.talk(150, RATE))
    await asyncio.sleep(0.5)
    struck = time.monotonic()
    async with faults[how](first["pid"]):
        took = await until(
            lambda: "" if len(_taken(system, second["name"])) > before else "no role took the shards",
            within=10,
            every=0.02,
        )
        tell(f"router {how}, its shards taken over after", took)
        if how != "killed":
            await people.settle(within=30)  # nothing but the other router can have brought these
    await talking
    await accounted(people)
    tell(f"router {how}, slowest message", people.slowest(struck - 1))
    assert took < TAKEN_OVER_S
    back = await until(lambda: _unbalanced(system), within=30)
    tell(f"router {how} and back, with shards again after", back)
    await until(
        lambda: "" if len(_taken(system, first["name"])) > given else f"{first['name']} reads nothing",
        within=10,
    )


def _taken(system: System, router: str) -> list[list[int]]:
    return [e["taken"] for e in events(system, "shards_assigned") if e["name"] == router and e["taken"]]


async def _unbalanced(system: System) -> str:
    rows = await system.roles("router")
    good = len(rows) == 2 and all(row["state"] == "running" and row["shards"] == 2 for row in rows)
    return "" if good else f"{rows}"


async def test_shards_are_added_while_people_talk(
    system: System, kafka: Kafka, people: Crowd, tell: Tell
) -> None:
    admin = KafkaLogAdmin(kafka.url)
    await admin.start()
    began = time.monotonic()
    talking = asyncio.create_task(people.talk(200, RATE))
    status, said, complaints = await verb(system, "scale", "shards=8")
    assert status == 0, complaints
    assert "8 shards after" in said
    await talking
    await accounted(people)
    tell("8 shards, slowest message", people.slowest(began))
    assert (await system.status())["shards"] == await admin.partitions("mailbox") == 8
    await admin.close()


async def test_what_the_retention_removed_before_it_was_read_is_said_and_sent_again(
    system: System, kafka: Kafka, people: Crowd
) -> None:
    bases = await _bases(system)
    admin = KafkaLogAdmin(kafka.url)
    await admin.start()
    routers = await system.roles("router")
    async with frozen(routers[0]["pid"]), frozen(routers[1]["pid"]):
        await people.talk(80, RATE)
        ends = await _ends(kafka.url, list(range(8)))
        await retain(kafka.url, "mailbox", ms=300)

        async def not_removed() -> str:
            starts = await admin.starts("mailbox")
            return "" if starts == ends else f"{starts} of {ends}"

        await until(not_removed, within=20, every=0.2)
        await retain(kafka.url, "mailbox", ms=3_600_000)
    await until(lambda: "" if events(system, "log_dropped_records") else "it was not logged", within=30)
    await until(lambda: _not_risen(system, bases, any), within=30, every=0.2)
    await accounted_again(people)
    dropped = events(system, "log_dropped_records")
    assert sum(each["records"] for each in dropped) >= 1
    [row] = await system.roles("coordinator")
    assert "raise the retention of the topic mailbox" in row["detail"]
    await admin.close()


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_deleted_log_is_recreated_and_its_messages_are_sent_again(
    by_hand: bool,  # noqa: FBT001 -- a parameter
    system: System,
    kafka: Kafka,
    people: Crowd,
    tell: Tell,
) -> None:
    bases = await _bases(system)
    admin = KafkaLogAdmin(kafka.url)
    await admin.start()
    talking = asyncio.create_task(people.talk(200, RATE))
    await asyncio.sleep(1)
    struck = time.monotonic()
    await admin.delete("mailbox")
    if by_hand:
        await admin.create("mailbox", 8)
    await until(lambda: _not_risen(system, bases, any), within=40, every=0.2)
    tell(f"log deleted{' and recreated' if by_hand else ''}, bases raised", time.monotonic() - struck)
    await talking
    await accounted_again(people)
    assert await admin.partitions("mailbox") == 8
    await admin.close()


async def accounted_again(people: Crowd) -> None:
    """Each pair says one more thing, from whose number its outbox sees that the log is another."""
    for pair in list(people.sent):
        await people.say(*pair)
    # No look at the numbers: what is left of a trimmed log comes under others than its senders were told.
    await people.settle(within=60)
    people.check("reordered")


async def _not_risen(system: System, before: dict[int, int], enough: Callable[[list[bool]], bool]) -> str:
    now = await _bases(system)
    return "" if enough([now[shard] >= before[shard] + STEP for shard in now]) else f"{before} {now}"


async def _bases(system: System) -> dict[int, int]:
    async with AsyncMongoClient[dict[str, int]](system.mongo) as mongo:
        return {state["_id"]: state["base"] async for state in mongo["roost"]["log"].find()}


async def _ends(url: str, shards: list[int]) -> dict[int, int]:
    """Return where the log of each shard ends; it must hold something."""
    reader = KafkaLogReader(url, "mailbox", "look")
    await reader.start()
    found = await reader._consumer.end_offsets([reader._partition(shard) for shard in shards])
    await reader.close()
    return {partition.partition: end for partition, end in found.items()}
