"""Shards are added while people talk: nothing is lost, doubled or reordered, and no stream is closed."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

from tests.live.crowd import Crowd, crowd
from tests.live.house import kill_all
from tests.live.running import System, frozen
from tests.live.stored import stored_messages
from tests.live.test_scaling import verb
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(300)

PEOPLE = 24
RATE = 60.0
FEW = {"ROOST_SHARDS": "2"}
SURE_S = 0.3
"""After this long, what the stopped broker had confirmed would have been written down."""


async def accounted(people: Crowd, system: System) -> None:
    """Everyone heard everything once and in order, and the store holds the same."""
    await people.settle(within=90)
    people.check()
    await people.check_watermarks()
    with MongoClient[dict[str, Any]](system.mongo) as mongo:
        misplaced = mongo["roost"]["dead"].count_documents({"reason": {"$regex": "not its recipient's"}})
        assert misplaced == 0
    sent = Counter(each for ids in people.sent.values() for each in ids)

    def unstored() -> str:
        stored = Counter(entry.cause for entry in stored_messages(system))
        missing = sum(stored[each] != count for each, count in sent.items())
        return (
            f"{missing} of {len(sent)} messages are not stored as often as they were sent" if missing else ""
        )

    await until(unstored, within=10)  # entries wait a second for company
    by_user: dict[str, list[str]] = {}
    for entry in stored_messages(system):
        by_user.setdefault(entry.user, []).append(entry.cause)
    places = {cause: place for causes in by_user.values() for place, cause in enumerate(causes)}
    for ids in people.sent.values():
        order = [places[each] for each in ids]
        assert order == sorted(order)


async def shards(system: System) -> tuple[int, int]:
    """Return how many shards the map has, and how many of them hosts have."""
    status = await system.status()
    of_hosts = sum(row["shards"] for row in status["roles"] if row["role"] == "host")
    return status.get("shards", 0), of_hosts


def strike_in_the_middle(system: System, broker: int, strike: Callable[[], None]) -> bool:
    """Strike when it is written down that shards are added, with the broker stopped before it adds any.

    Returns:
        False if it was over before the broker was stopped; then nothing was struck.
    """
    ends = time.monotonic() + 60
    with MongoClient[dict[str, Any]](system.mongo) as mongo:

        def growing() -> bool:
            return bool((mongo["roost"]["placement"].find_one({"_id": "growth"}) or {}).get("shards"))

        while not growing():
            assert time.monotonic() < ends, "no shards were added"
        os.kill(broker, signal.SIGSTOP)
        try:
            time.sleep(SURE_S)
            found = growing()
            if found:
                strike()
            return found
        finally:
            with contextlib.suppress(ProcessLookupError):  # it may have been struck, too
                os.kill(broker, signal.SIGCONT)


async def grown_and_struck(system: System, first: int, strike: Callable[[], None]) -> tuple[int, str]:
    """Add shards, again if it was too quick, and strike in the middle; returns how many, and complaints."""
    [broker] = await system.roles("kafka")
    for wanted in (first, 2 * first, 4 * first, 8 * first):
        asking = asyncio.create_task(verb(system, "scale", f"shards={wanted}"))
        struck = await asyncio.to_thread(strike_in_the_middle, system, broker["pid"], strike)
        status, _, complaints = await asking
        assert bool(status) == struck, complaints
        if struck:
            return wanted, complaints
    raise AssertionError("it was over each time before it was struck")


async def test_shards_are_added_while_people_talk(system: System, tell: Callable[[str, float], None]) -> None:
    first = (await system.status())["shards"]
    async with crowd(system.http, "grower", PEOPLE, contacts=5, seed=20_261_128) as people:
        wanted = 4 * first
        talking = asyncio.create_task(people.talk(150, RATE))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        status, said, complaints = await verb(system, "scale", f"shards={wanted}")
        assert status == 0, complaints
        assert f"{wanted} shards after" in said
        assert await shards(system) == (wanted, wanted)
        await talking
        await accounted(people, system)
        tell(f"{wanted} shards, slowest message", people.slowest(began - 1))
        assert [phone.user for phone in people.people.values() if phone.connections > 1] == []


async def test_a_coordinator_that_dies_while_shards_are_added_finishes_it(
    system: System, tell: Callable[[str, float], None]
) -> None:
    status = await system.status()
    [coordinator] = [row for row in status["roles"] if row["role"] == "coordinator"]
    async with crowd(system.http, "orphan", PEOPLE, contacts=5, seed=20_261_131) as people:
        talking = asyncio.create_task(people.talk(200, RATE))
        most, complaints = await grown_and_struck(
            system, 2 * status["shards"], lambda: os.kill(coordinator["pid"], signal.SIGKILL)
        )
        assert "finishes the step" in complaints

        async def unfinished() -> str:
            found = await shards(system)
            return "" if found == (most, most) else f"{found} shards"

        tell(f"coordinator killed, {most} shards after", await until(unfinished, within=60))
        await talking
        await accounted(people, system)


@pytest.mark.slow
async def test_where_not_everything_can_be_stored_nothing_is_changed(
    own_system: Callable[..., System], tell: Callable[[str, float], None]
) -> None:
    system = own_system(env=FEW).start()
    async with crowd(system.http, "patient", PEOPLE, contacts=5, seed=20_261_130) as people:
        await people.talk(60, RATE)
        await people.settle(within=60)
        [host] = await system.roles("host")
        talking = asyncio.create_task(people.talk(100, RATE))
        async with frozen((await system.roles("mongo"))[0]["pid"]):
            await until(lambda: "" if people.count > 90 else "too little was said", within=30)
            began = time.monotonic()
            status, said, complaints = await verb(system, "scale", "shards=4")
            tell("the store frozen, the verb gives up after", time.monotonic() - began)
        assert (status, said) == (1, ""), complaints
        assert "Nothing was done, since the audit log cannot be written: " in complaints
        await talking
        await accounted(people, system)
        assert await shards(system) == (2, 2)
        os.kill(host["pid"], signal.SIGSTOP)
        status, said, complaints = await verb(system, "scale", "shards=4")
        os.kill(host["pid"], signal.SIGCONT)
        assert (status, said) == (1, ""), complaints
        assert "Nothing was changed: " in complaints
        await people.talk(60, RATE)
        await accounted(people, system)
        assert await shards(system) == (2, 2)


@pytest.mark.slow
async def test_what_is_being_added_outlives_kill_9_of_everything(own_system: Callable[..., System]) -> None:
    from cluster.local.servers import free_port  # noqa: PLC0415 -- one test needs the same port again

    system = own_system("--port", str(free_port()), env=FEW).start()
    async with crowd(system.http, "phoenix", PEOPLE, contacts=5, seed=20_261_129) as people:
        talking = asyncio.create_task(people.talk(400, RATE))
        await asyncio.sleep(1)
        most, _ = await grown_and_struck(system, 8, lambda: kill_all(system))
        system.start()
        assert await shards(system) == (most, most)
        await talking
        await accounted(people, system)
        system.stop()
        system.start()
        assert await shards(system) == (most, most)
        await people.talk(60, RATE)
        await accounted(people, system)
