"""More than can be done: what a client is told, in which order, and that it is over when it is over."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from api.sending.admission import Bounds
from roost.ids import shard_of
from sim.faults.proxy import Proxy
from tests.integration.api_world import SHARDS, Person, Urls, World, message, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

Frame = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url), api={"admission": Bounds(device=64)}) as whole:
        yield whole


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """The log's server does nothing."""
    os.kill(world.broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(world.broker.pid, signal.SIGCONT)


@contextmanager
def counted(world: World) -> Iterator[set[int]]:
    """Note how many sends are in the gateway, time and again."""
    loop, gate = asyncio.get_running_loop(), world.gateways[0].collaborators.sender.gate.admission
    seen, looking = {gate.inside}, True

    def look() -> None:
        seen.add(gate.inside)
        if looking:
            loop.call_later(0.005, look)

    look()
    try:
        yield seen
    finally:
        looking = False


async def answers(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[Frame]:
    """Return the answers to so many sends, in the order in which they came."""
    found: list[Frame] = []
    while len(found) < count:
        received = await socket.receive(timeout=20)
        assert received.type is aiohttp.WSMsgType.TEXT, (received, found)
        frame = received.json()
        if frame["type"] in {"accepted", "rejected"}:
            found.append(frame)
    return found


async def sends(socket: aiohttp.ClientWebSocketResponse, to: Person, count: int) -> list[Frame]:
    """Send without waiting."""
    frames = [{"type": "send", **message(to, b"%d" % number)} for number in range(count)]
    for frame in frames:
        await socket.send_json(frame)
    return frames


async def test_sends_are_told_when_to_retry_while_the_log_stands_still(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a, bob.hello() as b:
        await sends(a, bob, 1)
        await until(a, "accepted")
        with stopped(world):
            frames = await sends(a, bob, 1)
            await asyncio.sleep(0.2)
            frames += await sends(a, bob, 30)
            refused = await answers(a, 30)
            assert {each["code"] for each in refused} == {"unavailable"}
            assert [each["id"] for each in refused] == [frame["id"] for frame in frames[1:]]
            assert all(0.05 <= each["retry_after_s"] <= 6 for each in refused)
            status, body = await alice.send(bob)
            assert status == 503
            assert body["retry_after_s"] > 0
        (first,) = await answers(a, 1)
        assert first["type"] == "accepted"
        assert await repeated(a, frames[1:]) == [frame["id"] for frame in frames[1:]]
        assert await received(b, 32) == [frame["payloads"][bob.device] for frame in frames_of(frames, bob)]


def frames_of(frames: list[Frame], to: Person) -> list[Frame]:
    """Return the very first message as `sends` made it, and these."""
    return [{"payloads": {to.device: "MA"}}, *frames]


async def repeated(socket: aiohttp.ClientWebSocketResponse, frames: list[Frame]) -> list[str]:
    """Repeat these, from the first refused one on, until all are accepted; returns the ids in that order."""
    accepted: list[str] = []
    left = list(frames)
    while left:
        for frame in left:
            await socket.send_json(frame)
        waits = []
        for answer in await answers(socket, len(left)):
            if answer["type"] == "accepted":
                accepted.append(answer["id"])
            else:
                waits.append(answer["retry_after_s"])
        left = [frame for frame in left if frame["id"] not in accepted]
        await asyncio.sleep(max(waits, default=0.0))
    return accepted


async def received(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[str]:
    """Return the payloads of so many messages."""
    found: list[str] = []
    while len(found) < count:
        entries = (await until(socket, "entries"))["entries"]
        found += [entry["payload"] for entry in entries if entry["type"] == "message"]
        await socket.send_json({"type": "ack", "seq": entries[-1]["seq"]})
    return found


async def test_over_http_the_header_says_so_too(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    assert (await alice.send(bob))[0] == 202
    with stopped(world):
        first = asyncio.create_task(alice.send(bob))
        await asyncio.sleep(0.1)
        url, headers = world.addresses[0] + "/v1/messages", {"Authorization": f"Bearer {alice.token}"}
        second = asyncio.create_task(alice.send(bob))
        assert (await second)[0] == 503
        async with world.http.post(url, json=message(bob), headers=headers) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
    assert (await first)[0] == 202


@pytest.mark.attack("send without reading an answer", "512 unanswered messages, then the socket is not read")
async def test_a_flood_is_not_read_further_and_every_frame_of_it_is_answered(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a:
        with stopped(world), counted(world) as inside:
            frames = await sends(a, bob, 3_000)
            refused = await answers(a, 2_900)
            assert 0 < max(inside) <= 64
            assert {each["code"] for each in refused} <= {"unavailable", "rate_limited"}
        rest = await answers(a, 100)
        ids = [frame["id"] for frame in frames]
        order = [each["id"] for each in [*refused, *rest] if each["type"] == "accepted"]
        assert order == ids[: len(order)]


async def test_nothing_is_left_behind(world: World) -> None:
    admission = world.gateways[0].collaborators.sender.gate.admission
    async with asyncio.timeout(20):
        while admission.inside or admission.shedding_since_s is not None:
            await asyncio.sleep(0.1)
    assert (admission.inside, admission.size, admission._of_device) == (0, 0, {})
    text = await world.gateways[0].metrics()
    assert b'roost_sends_refused_total{reason="queue"}' in text


@asynccontextmanager
async def slowed(mongo_url: str, redis_url: str, bounds: Bounds) -> AsyncIterator[tuple[World, Proxy]]:
    """A world whose host reaches the store through a proxy."""
    host, _, database = mongo_url.removeprefix("mongodb://").partition("/")
    proxy = Proxy(host)
    await proxy.start()
    try:
        urls = Urls(mongo_url, redis_url, f"mongodb://{proxy.address}/{database}")
        async with running(urls, api={"admission": bounds}) as world:
            yield world, proxy
            await proxy.heal()
    finally:
        await proxy.close()


async def other_shard(world: World, bob: Person) -> Person:
    """Return a user whose shard is another than this one's."""
    user = bob.tokens["user_id"]
    while True:
        carol = await world.person()
        if shard_of(carol.tokens["user_id"], SHARDS) != shard_of(user, SHARDS):
            return carol


@pytest.mark.attack(
    "fill a host's memory faster than the store takes it",
    "a bound on unstored records for each shard",
)
async def test_a_shard_with_too_many_unstored_records_accepts_no_more_and_others_do(
    mongo_url: str, redis_url: str
) -> None:
    bounds = Bounds(accept_s=60.0, deliver_s=60.0, unstored=400)  # so that nothing else refuses
    async with slowed(mongo_url, redis_url, bounds) as (world, proxy):
        alice, bob = await world.person(), await world.person()
        carol = await other_shard(world, bob)
        async with alice.hello() as a:
            for peer in (carol, bob):  # hosts must have loaded both
                await sends(a, peer, 1)
                [accepted] = await answers(a, 1)
                await peer.receive(accepted["seq"])
            proxy.delay(60.0)
            admission = world.gateways[0].collaborators.sender.gate.admission
            refused: list[Frame] = []
            async with asyncio.timeout(20):
                while not (refused and admission.refused["store"]):
                    await sends(a, bob, 50)
                    refused = [each for each in await answers(a, 50) if each["type"] == "rejected"]
            assert {each["code"] for each in refused} == {"unavailable"}
            await asyncio.sleep(max(each["retry_after_s"] for each in refused))
            assert (await answered(a, carol))["type"] == "accepted"
            assert (await answered(a, bob))["type"] == "rejected"
            await proxy.refuse()
            await proxy.heal()
            async with asyncio.timeout(30):
                while (await answered(a, bob))["type"] != "accepted":
                    await asyncio.sleep(0.5)


async def answered(socket: aiohttp.ClientWebSocketResponse, to: Person) -> Frame:
    """Send one message; returns its answer."""
    await sends(socket, to, 1)
    return (await answers(socket, 1))[0]
