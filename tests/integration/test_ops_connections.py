"""Connections as operators see them: found by what is wrong, closed so that they come back; hot users."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from roost.clock import now_ms
from tests.integration.api_world import Person, Urls, World, closing, until
from tests.integration.ops_world import Reach, acts, operated, operator_of
from tests.live.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def reach() -> Reach:
    return Reach()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str, reach: Reach) -> AsyncIterator[World]:
    async with operated(Urls(mongo_url, redis_url), reach) as whole:
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(world: World) -> Person:
    return await operator_of(world)


async def shown(operator: Person, order: str) -> dict[str, Any]:
    found: dict[str, Any] = await operator.call("GET", f"/admin/v1/connections?order={order}", expect=200)
    return found


async def test_one_that_acknowledges_nothing_comes_first_among_the_slow(
    world: World, operator: Person, reach: Reach
) -> None:
    alice, bob, idle = await world.person(), await world.person(), await world.person()
    began_ms = now_ms()
    async with idle.hello(), bob.hello(gateway=1) as socket:
        for _ in range(2):
            assert (await alice.send(bob))[0] == 202
        entries: list[Any] = []
        while len(entries) < 2:
            entries += (await until(socket, "entries"))["entries"]
        first, *_ = (await shown(operator, "slow"))["connections"]
        assert (first["username"], first["device_id"]) == (bob.username, bob.device)
        assert (first["gateway"], first["unacknowledged"]) == ("gateway-1", 2)
        assert 0 < first["oldest_unacknowledged_ms"] <= now_ms() - began_ms
        assert (first["sent"], first["subprotocol"]) == (entries[-1]["seq"], "roost.v1.json")
        assert (first["address_prefix"], first["background"]) == ("127.0.0.0/24", False)
        await socket.send_json({"type": "ack", "seq": entries[-1]["seq"]})

        async def bobs() -> Any:
            rows = (await shown(operator, "old"))["connections"]
            return next(each for each in rows if each["username"] == bob.username)

        row = await until_found(bobs, lambda each: each["unacknowledged"] == 0)
        assert row["oldest_unacknowledged_ms"] == 0
        reach.away.add("gateway-1")
        try:
            found = await shown(operator, "old")
        finally:
            reach.away.clear()
        assert found["away"] == ["gateway-1"]
        assert [each["username"] for each in found["connections"]] == [idle.username]


async def test_the_oldest_come_first_and_no_more_than_asked_for(world: World, operator: Person) -> None:
    people = [await world.person(keys=False) for _ in range(3)]
    async with people[0].hello(), people[1].hello(gateway=1), people[2].hello():
        found = (await shown(operator, "old"))["connections"]
        assert [each["username"] for each in found] == [each.username for each in people]
        assert found == sorted(found, key=lambda each: each["since_ms"])
        path = "/admin/v1/connections?order=old&limit=2"
        found = (await operator.call("GET", path, expect=200))["connections"]
        assert [each["username"] for each in found] == [each.username for each in people[:2]]


async def test_devices_that_displace_themselves_show(world: World, operator: Person) -> None:
    bob = await world.person(keys=False)
    async with bob.hello() as first, bob.hello(gateway=1):
        _, code = await closing(first)
        assert code == 4409
        found = await shown(operator, "displaced")
        assert [(each["gateway"], each["username"]) for each in found["recently_displaced"]] == [
            ("gateway-0", bob.username)
        ]
    assert first.closed


@pytest.mark.attack("close-a-connection-as-observer", "forbidden")
async def test_one_is_closed_by_an_admin_only_and_may_come_back(world: World, operator: Person) -> None:
    bob = await world.person(keys=False)
    async with bob.hello() as socket:
        [row] = (await shown(operator, "old"))["connections"]
        path = f"/admin/v1/connections/{row['id']}"
        observer = await operator_of(world, "observer")
        status, problem = await observer.call("DELETE", path, gateway=1)
        assert (status, problem["code"]) == (403, "forbidden")
        assert not socket.closed
        await operator.call("DELETE", path, gateway=1, expect=204)
        frames, code = await closing(socket)
        assert (code, frames[-1]["type"]) == (4000, "bye")
    async with bob.hello():
        status, problem = await operator.call("DELETE", path)
        assert (status, problem["code"]) == (404, "not_found")
    assert [
        (act, outcome) for act, target, outcome in await acts(world, operator) if target == row["id"]
    ] == [
        ("connection.close", "requested"),
        ("connection.close", "done"),
        ("connection.close", "requested"),
        ("connection.close", "failed: it is gone"),
    ]
    for wrong in ("host-0:1:1", "coordinator:1:1", "gateway-0", "gateway-0:x:1"):
        status, problem = await operator.call("DELETE", f"/admin/v1/connections/{wrong}")
        assert (status, problem["code"]) == (422, "invalid")


async def test_the_hottest_users_are_those_who_got_the_most_since_the_look_before(
    world: World, operator: Person
) -> None:
    alice, bob, ann = await world.person(), await world.person(), await world.person()
    async with bob.hello() as at_bob, ann.hello() as at_ann:
        await operator.call("GET", "/admin/v1/hot", expect=200)
        for to, socket, count in ((bob, at_bob, 3), (ann, at_ann, 1)):
            for _ in range(count):
                assert (await alice.send(to))[0] == 202
                await until(socket, "entries")
        found = await operator.call("GET", "/admin/v1/hot", expect=200)
        counts = [(each["username"], each["count"], each["host"]) for each in found["users"]]
        assert counts == [(bob.username, 3, "host-0"), (ann.username, 1, "host-0")]
        assert found["users"][0]["per_s"] > found["users"][1]["per_s"] > 0
        found = await operator.call("GET", "/admin/v1/hot?limit=1", expect=200)
        assert [each["username"] for each in found["users"]] == [bob.username]
