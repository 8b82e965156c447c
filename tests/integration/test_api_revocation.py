"""The end of a session holds on every way into a gateway, on every gateway, also while Redis is away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from sim.faults.proxy import Proxy
from tests.integration.api_world import Person, Urls, World, closing, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SOON_S = 5.0
"""Far more than the second that is promised: this machine is shared."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url.removeprefix("redis://").split("/")[0]) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis: Proxy) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, f"redis://{redis.address}"), gateways=2) as whole:
        yield whole


async def header(person: Person) -> str:
    """Ask until the token is refused; returns why."""
    async with asyncio.timeout(_SOON_S):
        while True:
            status, answer = await person.call("GET", "/v1/me", gateway=1)
            if status != 200:
                return str(answer["code"])
            await asyncio.sleep(0.05)


async def closed(socket: aiohttp.ClientWebSocketResponse) -> tuple[str, int | None]:
    async with asyncio.timeout(_SOON_S):
        frames, code = await closing(socket)
    return frames[-1]["code"], code


async def half_a_request(person: Person) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the head of a request and half of its body."""
    host, port = person.world.addresses[1].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"PATCH /v1/me HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {person.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 23\r\n\r\n"
    )
    writer.write(head.encode() + b'{"display_name"')
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("away", ["", "refused", "hanging"])
@pytest.mark.attack("revoked-token-on-every-path")
async def test_every_path_is_closed(world: World, redis: Proxy, away: str) -> None:
    alice = await world.person()
    old = Person(world, alice.username, alice.tokens, alice.signing)
    async with AsyncExitStack() as stack:
        open_ = await stack.enter_async_context(alice.hello(gateway=1))
        tablet, laptop = await alice.log_in(), await alice.log_in()
        by_header = {"Authorization": f"Bearer {tablet.token}"}
        silent = await stack.enter_async_context(tablet.stream(gateway=1, headers=by_header))
        poll = asyncio.create_task(laptop.call("GET", "/v1/sync?wait_s=50", gateway=1))
        reader, writer = await half_a_request(laptop)
        stack.callback(writer.close)
        keeper = await alice.log_in()
        keeper_stream = await stack.enter_async_context(keeper.hello(gateway=1))
        await asyncio.sleep(0.3)  # the poll and the half request have arrived
        stack.push_async_callback(redis.heal)
        if away == "refused":
            await redis.refuse()
        elif away == "hanging":
            redis.delay(60)
        await keeper.call("DELETE", "/v1/sessions", expect=204, gateway=0)

        assert await header(old) == "revoked"
        assert await closed(open_) == ("revoked", 4601)
        await silent.send_json({"type": "ping"})
        assert await closed(silent) == ("revoked", 4601)
        async with asyncio.timeout(_SOON_S):
            status, problem = await poll
        assert (status, problem["code"]) == (401, "revoked")
        writer.write(b': "x"   }')
        async with asyncio.timeout(_SOON_S):
            answer = await reader.readuntil(b"\r\n")
        assert b" 401 " in answer
        async with laptop.stream(gateway=1) as socket:
            await socket.send_json({"type": "hello", "token": laptop.token})
            assert await closed(socket) == ("revoked", 4601)
        await keeper_stream.send_json({"type": "auth", "token": old.token})
        problem = await until(keeper_stream, "problem")
        assert (problem["frame"], problem["code"]) == ("auth", "revoked")
        assert (await keeper.call("GET", "/v1/me", gateway=1))[0] == 200


async def test_a_poll_of_another_session_goes_on(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    tablet = await alice.log_in()
    poll = asyncio.create_task(alice.call("GET", "/v1/sync?wait_s=20", gateway=1))
    await asyncio.sleep(0.1)
    await tablet.call("DELETE", "/v1/sessions/current", expect=204)
    assert (await bob.send(alice))[0] == 202
    status, page = await poll
    assert (status, len(page["entries"])) == (200, 1)


async def test_nothing_is_kept_of_a_poll_that_is_over(world: World) -> None:
    alice = await world.person()
    await alice.call("GET", "/v1/sync?wait_s=0", expect=200)
    waiting: Any = world.gateways[0].collaborators.revocations._waiting
    assert json.dumps(sorted(waiting)) == "[]"
