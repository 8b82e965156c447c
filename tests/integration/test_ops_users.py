"""One user as operators see them: what waits for each device, where they are served, the end of a session."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.identity.limits import Limit
from roost.clock import now_ms
from roost.ids import shard_of
from tests.integration.api_world import SHARDS, Person, Urls, World, closing, until
from tests.integration.ops_world import Reach, acts, operated, operator_of
from tests.live.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")


BYTES = ("bytes_by_device", "bytes_by_pair", "bytes_to_user")


@pytest.fixture(scope="module")
def reach() -> Reach:
    return Reach()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str, reach: Reach) -> AsyncIterator[World]:
    limits = {"logins_by_user": Limit(0.01, 5)}
    limits |= {name: Limit(1.0, 2**26, "local") for name in BYTES}
    async with operated(Urls(mongo_url, redis_url), reach, limits) as whole:
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(world: World) -> Person:
    return await operator_of(world)


async def test_what_waits_is_counted_by_device_and_what_is_acknowledged_is_not(
    world: World, operator: Person
) -> None:
    alice, bob = await world.person(), await world.person()
    path, began_ms = f"/admin/v1/users/{bob.username}", now_ms()
    for _ in range(3):
        assert (await alice.send(bob))[0] == 202
    found = await until_found(
        lambda: operator.call("GET", path, expect=200), lambda seen: seen["backlog"][bob.device] == 3
    )
    assert began_ms <= found["oldest_unacknowledged_at_ms"] <= now_ms()
    assert (found["host"], found["shard"]) == ("host-0", shard_of(bob.tokens["user_id"], SHARDS))
    assert (found["online"], found["streams"]) == (False, [])
    page = await bob.call("GET", "/v1/sync", expect=200)
    await bob.call("POST", "/v1/acks", {"seq": page["entries"][1]["seq"]}, expect=204)
    found = await until_found(
        lambda: operator.call("GET", path, expect=200), lambda seen: seen["backlog"][bob.device] == 1
    )
    assert found["oldest_unacknowledged_at_ms"] == page["entries"][2]["at_ms"]
    assert (await acts(world, operator))[-1] == ("user.look", bob.username, "done")


async def test_a_stream_shows_with_its_gateway_and_what_it_owes(
    world: World, operator: Person, reach: Reach
) -> None:
    alice, bob = await world.person(), await world.person()
    path = f"/admin/v1/users/{bob.username}"
    async with bob.hello(gateway=1) as socket:
        assert (await alice.send(bob))[0] == 202
        await until(socket, "entries")
        found = await operator.call("GET", path, expect=200)
        [stream] = found["streams"]
        assert (found["online"], stream["device_id"], stream["gateway"]) == (True, bob.device, "gateway-1")
        assert (stream["unacknowledged"], stream["background"]) == (1, False)
        reach.away.add("host-0")
        try:
            found = await operator.call("GET", path, expect=200)
        finally:
            reach.away.clear()
        assert (found["online"], found["streams"], found["host"]) == (None, None, "host-0")


async def test_what_is_left_of_the_limits_is_shown_and_looking_takes_none(
    world: World, operator: Person
) -> None:
    bob = await world.person()  # who logged in once
    for _ in range(2):
        found = await operator.call("GET", f"/admin/v1/users/{bob.username}", expect=200)
        left = {each["name"]: each for each in found["limits"] if not each["device_id"]}
        assert (left["logins_by_user"]["left"], left["logins_by_user"]["of"]) == (4, 5)
        assert left["logins_by_user"]["resets_at_ms"] > now_ms() + 90_000
        assert left["exports"]["left"] == left["exports"]["of"] == 5


async def test_bytes_are_shown_of_the_gateway_that_counted_them(world: World, operator: Person) -> None:
    """They were sent through the other gateway than the one that is asked."""
    alice, bob = await world.person(), await world.person()
    assert (await alice.send(bob, gateway=1))[0] == 202
    limits = (await operator.call("GET", f"/admin/v1/users/{alice.username}", expect=200))["limits"]
    used = {each["name"]: each for each in limits if each["left"] < each["of"]}
    assert used["bytes_by_device"]["device_id"] == alice.device
    assert used["bytes_by_pair"]["to"] == bob.username
    limits = (await operator.call("GET", f"/admin/v1/users/{bob.username}", expect=200))["limits"]
    [to_bob] = [each for each in limits if each["name"] == "bytes_to_user"]
    assert to_bob["left"] < to_bob["of"]


@pytest.mark.attack("end-a-session-as-observer", "forbidden")
async def test_a_session_is_ended_by_an_admin_only_and_everywhere(world: World, operator: Person) -> None:
    alice, bob = await world.person(), await world.person()
    other = await bob.log_in()
    path = f"/admin/v1/users/{bob.username}/sessions/{bob.device}"
    for stranger, expected in ((alice, 403), (await operator_of(world, "observer"), 403)):
        status, problem = await stranger.call("DELETE", path)
        assert (status, problem["code"]) == (expected, "forbidden")
    async with bob.hello(gateway=1) as socket:
        await operator.call("DELETE", path, expect=204)
        _, code = await closing(socket)
        assert code == 4601
    status, problem = await bob.call("GET", "/v1/me")
    assert (status, problem["code"]) == (401, "revoked")
    await other.call("GET", "/v1/me", expect=200)
    found = await operator.call("GET", f"/admin/v1/users/{bob.username}", expect=200)
    assert [each["device_id"] for each in found["sessions"]] == [other.device]
    target = f"{bob.username} {bob.device}"
    assert ("session.end", target, "done") in await acts(world, operator)
    for path, code in (
        (f"/admin/v1/users/{bob.username}/sessions/NONE", "unknown_device"),
        ("/admin/v1/users/nobody.here/sessions/NONE", "unknown_user"),
    ):
        status, problem = await operator.call("DELETE", path)
        assert (status, problem["code"]) == (404, code)
