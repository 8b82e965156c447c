"""What one client can make the others pay for: pages, searches, claims, polls and log-ins."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from api.identity.limits import Limit
from roost import wire
from storage.mongo.keys import MongoKeys
from storage.mongo.mailboxes import MongoMailboxes
from tests.integration.api_world import PASSWORD, Person, Urls, World, message, new_id, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEARCHES = 5
HOUR_MS = 3_600_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    limits = {"searches": Limit(0.001, SEARCHES, "local")}
    async with running(Urls(mongo_url, redis_url), limits=limits) as whole:
        yield whole


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is asked of the store."""
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        async def counting(*args: Any, **how: Any) -> Any:
            counted[name] += 1
            return await original(*args, **how)

        monkeypatch.setattr(owner, name, counting)

    count(MongoMailboxes, "history")
    count(MongoMailboxes, "find_causes")
    count(MongoKeys, "claim_one_time_key")
    count(MongoKeys, "supply")
    return counted


async def fill(sender: Person, to: Person, count: int, size: int = 10) -> list[int]:
    async def sent(message_id: str) -> int:
        status = 503  # so much at once may be asked to come back
        while status == 503:
            status, answer = await sender.send(to, b"x" * size, message_id=message_id)
        assert status == 202, answer
        return int(answer["seq"])

    return sorted(await asyncio.gather(*(sent(new_id()) for _ in range(count))))


async def everything(person: Person) -> tuple[list[int], list[int]]:
    """Sync from the beginning; returns all seqs, and the bytes of each page's payloads."""
    seqs: list[int] = []
    sizes: list[int] = []
    page: dict[str, Any] = {"cursor": 0, "more": True}
    while page["more"]:
        page = await person.call("GET", f"/v1/sync?cursor={page['cursor']}&limit=256", expect=200)
        seqs += [entry["seq"] for entry in page["entries"]]
        sizes.append(sum(len(entry["payload"]) for entry in page["entries"]) * 3 // 4)
    return seqs, sizes


async def handled(person: Person, seqs: list[int]) -> list[int]:
    """Sync until all of these are there; returns the sizes of the last pages."""
    found: list[int] = []
    async with asyncio.timeout(20):
        while found != seqs:
            found, sizes = await everything(person)
    return sizes


async def test_pages_are_bounded_in_bytes(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    size = 60_000
    seqs = await fill(alice, bob, 40, size)
    sizes = await handled(bob, seqs)
    assert max(sizes) < wire.PAGE_BYTES + size
    path, before, history = f"/v1/conversations/{alice.username}/messages?limit=200", "", []
    while True:
        page = await bob.call("GET", path + before, expect=200)
        history += [entry["seq"] for entry in page["messages"]]
        assert sum(len(entry["payload"]) for entry in page["messages"]) < 4 / 3 * (wire.PAGE_BYTES + size)
        if not page["more"]:
            break
        before = f"&before={history[-1]}"
    assert history == seqs[::-1]


async def test_history_on_a_new_device_reads_few_batches(world: World, calls: Counter[str]) -> None:
    alice, bob = await world.person(), await world.person()
    seqs = await fill(alice, bob, 300)
    await handled(bob, seqs)
    tablet = await bob.log_in()
    page = await tablet.call("GET", f"/v1/conversations/{alice.username}/messages?limit=1", expect=200)
    assert page == {"messages": [], "more": False}
    assert calls["history"] <= 10
    for limit in (1, 7, 200):
        page = await bob.call("GET", f"/v1/conversations/{alice.username}/messages?limit={limit}", expect=200)
        assert [entry["seq"] for entry in page["messages"]] == seqs[: -limit - 1 : -1]
        assert page["more"]
    older = await bob.call(
        "GET", f"/v1/conversations/{alice.username}/messages?limit=200&before={seqs[200]}", expect=200
    )
    assert [entry["seq"] for entry in older["messages"]] == seqs[199::-1]
    assert not older["more"]


@pytest.mark.attack("have old messages searched for without end", "the limiter of searches")
async def test_searches_are_few(world: World, calls: Counter[str]) -> None:
    alice, bob = await world.person(), await world.person()
    answers = [
        await alice.call("GET", f"/v1/messages/{new_id(HOUR_MS)}?to={bob.username}")
        for _ in range(SEARCHES + 2)
    ]
    assert [status for status, _ in answers] == [404] * SEARCHES + [429] * 2
    assert answers[-1][1]["code"] == "rate_limited"
    assert calls["find_causes"] == SEARCHES
    _, accepted = await bob.send(alice)  # what is known needs no search
    for _ in range(2 * SEARCHES):
        await bob.call("GET", f"/v1/messages/{accepted['id']}", expect=200)


async def test_old_messages_are_searched_for_together_or_refused_in_order(
    world: World, calls: Counter[str]
) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as socket:
        old = [new_id(HOUR_MS) for _ in range(50)]
        for each in old:
            await socket.send_json({"type": "send", **message(bob, message_id=each)})
        assert [(await until(socket, "accepted"))["id"] for _ in old] == old
    assert calls["find_causes"] < SEARCHES
    statuses = [(await alice.send(bob, message_id=new_id(HOUR_MS)))[0] for _ in range(SEARCHES + 1)]
    assert 429 in statuses
    assert 202 not in statuses[statuses.index(429) :]
    status, refused = await alice.send(bob)
    assert (status, refused["code"]) in [(429, "rate_limited"), (503, "unavailable")], "it was sent later"


@pytest.mark.attack(
    "have the store asked for devices that are not there",
    "only devices that exist are asked for",
)
async def test_a_claim_for_devices_that_are_not_there_asks_for_none(
    world: World, calls: Counter[str]
) -> None:
    alice, bob = await world.person(), await world.person()
    await bob.call("POST", "/v1/keys/upload", {"one_time_keys": bob.one_time_keys("A")}, expect=200)
    named = {f"DEVICE{number:04}": "signed_curve25519" for number in range(900)}
    claim = {"one_time_keys": {bob.address: named | {bob.device: "signed_curve25519"}}}
    claimed = await alice.call("POST", "/v1/keys/claim", claim, expect=200)
    assert list(claimed["one_time_keys"][bob.address]) == [bob.device]
    assert calls["claim_one_time_key"] == 1
    tablet = await bob.log_in()  # what is new is found
    await tablet.publish_keys()
    await tablet.call("POST", "/v1/keys/upload", {"one_time_keys": tablet.one_time_keys("B")}, expect=200)
    claim = {"one_time_keys": {bob.address: {tablet.device: "signed_curve25519"}}}
    claimed = await alice.call("POST", "/v1/keys/claim", claim, expect=200)
    assert list(claimed["one_time_keys"][bob.address]) == [tablet.device]


@pytest.mark.attack("hold connections by long polls of one device", "four wait; one more ends the oldest")
async def test_few_long_polls_of_one_device_wait(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    polls = [asyncio.create_task(bob.call("GET", "/v1/sync?wait_s=50", expect=200)) for _ in range(30)]
    ended: set[asyncio.Task[Any]] = set()
    async with asyncio.timeout(20):
        while len(ended) < 26:
            done, _ = await asyncio.wait(
                [poll for poll in polls if poll not in ended], return_when=asyncio.FIRST_COMPLETED
            )
            ended |= done
    assert all(poll.result()["entries"] == [] for poll in ended)
    await alice.send(bob)
    async with asyncio.timeout(20):
        pages = await asyncio.gather(*(poll for poll in polls if poll not in ended))
    assert [len(page["entries"]) for page in pages] == [1] * 4


@pytest.mark.attack("fill the threads that hash passwords", "addresses take turns")
async def test_log_ins_of_one_address_do_not_hold_up_anothers(world: World) -> None:
    alice = await world.person()
    body = {"username": alice.username, "password": "wrong" + PASSWORD}
    ended: list[str] = []

    async def log_in(http: aiohttp.ClientSession, who: str, username: str) -> None:
        async with http.post(f"{world.addresses[0]}/v1/sessions", json=body | {"username": username}) as told:
            assert told.status == 401, await told.text()
        ended.append(who)

    elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0), limit=0)
    async with aiohttp.ClientSession(connector=elsewhere) as crowd, aiohttp.ClientSession() as one:
        many = [asyncio.create_task(log_in(crowd, "crowd", f"nobody{number}")) for number in range(100)]
        while not ended:  # they are all in line
            await asyncio.sleep(0.01)
        await log_in(one, "one", alice.username)
        assert ended.index("one") < 60
        await asyncio.gather(*many)


async def test_polls_do_not_ask_the_store_each_time_what_is_left_of_the_keys(
    world: World, calls: Counter[str]
) -> None:
    alice = await world.person()
    calls.clear()
    for _ in range(5):
        await alice.call("GET", "/v1/sync", expect=200)
        async with alice.hello():
            pass
    assert calls["supply"] == 0, "the upload has just said it"
    for gateway in world.gateways:
        gateway.collaborators.key_supplies.forget(alice.tokens["user_id"], alice.device)
    for _ in range(5):
        await alice.call("GET", "/v1/sync", expect=200)
    assert calls["supply"] == 1
