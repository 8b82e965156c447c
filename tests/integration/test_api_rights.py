"""Export and erasure of accounts, full mailboxes, old and disappearing messages, over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from actors.host import HostSettings
from actors.host.runtime import Runtime
from actors.host.upkeep.eraser import ErasureSettings
from actors.host.upkeep.sweep_rules import Keep
from actors.host.upkeep.sweeper import Sweeper, SweepSettings
from actors.user.quota import Budget, Quotas
from api.identity.limits import Limit
from cluster.rights.scan import scan
from cluster.settings import Kafka, Settings
from cluster.settings.servers import Mongo, Redis
from roost import wire
from roost.clock import now_ms
from roost.errors import Unavailable
from storage.account_rows import Erasure
from storage.export import export_of
from storage.mentions import needles
from storage.records import MessageRecord, encode_record
from tests.browser_push import Browser, decoded
from tests.integration.api_world import (
    PASSWORD,
    Person,
    Urls,
    World,
    closing,
    message,
    new_id,
    running,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUOTAS = Quotas(stranger=Budget(5), strangers=Budget(8))
SWEEP = SweepSettings(expired_every_s=0.05, pause_s=0.001)
DAY_MS = 86_400_000
ERASURE = ErasureSettings(every_s=0.05, settle_ms=100, access_ms=2_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    host = HostSettings(quotas=QUOTAS, erasure=ERASURE, sweep=SWEEP)
    limits = {"logins_by_device": Limit(0.1, 5)}
    async with running(Urls(mongo_url, redis_url), host=host, limits=limits) as whole:
        yield whole


async def eventually(condition: Callable[[], Awaitable[object]], what: str) -> None:
    deadline = now_ms() + 15_000
    while not await condition():
        assert now_ms() < deadline, f"still not: {what}"
        await asyncio.sleep(0.02)


async def leave(person: Person, password: str = PASSWORD) -> Any:
    return await person.call("DELETE", "/v1/me", {"password": password})


async def erase_now(world: World, person: Person) -> str:
    """Have an account erased without a grace time, as an operator does; returns its id once it is gone."""
    user = str(person.tokens["user_id"])
    await world.store.erasures.ask(Erasure(user, person.username, "asked", now_ms(), 0))

    async def erased() -> bool:
        found = await world.store.erasures.get(user)
        return found is not None and found.state == "erased"

    await eventually(erased, "the account is erased")
    return user


async def sync(person: Person, **more: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in more.items())
    page = await person.call("GET", f"/v1/sync?{query}", expect=200)
    return list(page["entries"])


# --- leaving ---


@pytest.mark.attack("erasing an account without its password")
async def test_the_password_is_asked_for(world: World) -> None:
    alice = await world.person()
    status, problem = await leave(alice, "another password")
    assert (status, problem["code"]) == (401, "bad_credentials")
    assert (await alice.call("DELETE", "/v1/me", {}))[0] == 422
    assert await world.store.erasures.get(alice.tokens["user_id"]) is None
    assert (await alice.call("GET", "/v1/me"))[0] == 200


@pytest.mark.attack("erasing an account without a token")
async def test_a_token_is_asked_for(world: World) -> None:
    status, problem = await world.call("DELETE", "/v1/me", {"password": PASSWORD})
    assert (status, problem["code"]) == (401, "unauthenticated")
    status, problem = await world.call("GET", "/v1/me/export")
    assert (status, problem["code"]) == (401, "unauthenticated")


@pytest.mark.attack("guessing the password with a stolen token until the account is erased")
async def test_guesses_are_limited(world: World) -> None:
    alice = await world.person()
    answers = [(await leave(alice, f"guess number {number}"))[1]["code"] for number in range(7)]
    assert answers[-1] == "rate_limited"


async def test_leaving_closes_every_stream_and_a_log_in_keeps_the_account(world: World) -> None:
    alice = await world.person()
    other = await alice.log_in()
    async with alice.hello() as mine, other.hello() as others:
        status, asked = await leave(alice)
        assert status == 202
        assert asked["erased_at_ms"] > now_ms()
        for socket in (mine, others):
            assert (await closing(socket))[1] == 4601
    assert (await alice.call("GET", "/v1/me"))[0] == 401
    back = await alice.log_in(alice.device)
    assert await world.store.erasures.get(back.tokens["user_id"]) is None
    assert (await back.call("GET", "/v1/me"))[0] == 200


async def test_an_erased_account_is_gone_from_every_store(
    world: World, mongo_url: str, redis_url: str, tmp_path: Path
) -> None:
    alice, bob = await world.person(), await world.person()
    _, accepted = await bob.send(alice, b"to alice")
    _, sent = await alice.send(bob, b"to bob")
    await alice.receive(accepted["seq"])
    await alice.call("POST", "/v1/acks", {"seq": accepted["seq"]}, expect=204)
    await alice.call("PUT", f"/v1/blocks/{bob.username}", expect=204)
    await bob.receive(sent["seq"])
    await bob.call("POST", "/v1/acks", {"seq": sent["seq"]}, expect=204)
    kept = partial(world.store.mailboxes.exists, bob.tokens["user_id"], sent["seq"])
    await eventually(kept, "bob's message is stored")
    user = await erase_now(world, alice)

    store = world.store
    assert await store.accounts.users_by_id([user]) == {}
    assert await store.accounts.devices_of([user]) == {user: []}
    assert await store.accounts.blocks_of([user]) == {user: []}
    assert await store.mailboxes.latest(user, 2**53 - 1, 9) == []
    assert await store.mailboxes.cursors_of([user]) == {user: {}}
    assert await store.conversations.of_user(user) == []
    assert (await store.keys.supply(user, alice.device)).one_time == {}
    assert world.host._residents.get(user) is None
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        keys = [key.decode() async for key in client.scan_iter(match="*")]
        assert not [key for key in keys if f"p:{user}" in key or f"s:{user}" in key]

    # A look through all of every store finds nothing but what is others', or expires.
    settings = Settings(
        data=tmp_path,
        kafka=Kafka(url=world.broker.spec.address),
        mongo=Mongo(url=mongo_url, database=world.name),
        redis=Redis(url=redis_url, prefix=f"{world.name}:"),
    )
    wanted = needles(user, alice.username, (alice.device,))
    found = {each.where: each for each in await scan(settings, wanted, embedded=True)}
    assert {"MongoDB mailbox", "MongoDB erasures", "log mailbox"} <= found.keys()
    assert [each for each in found.values() if not each.expected] == []
    of_peer = needles(bob.tokens["user_id"], bob.username, (bob.device,))
    found = {each.where: each for each in await scan(settings, of_peer, embedded=True)}
    assert {"MongoDB users", "MongoDB devices", "MongoDB cursors"} <= found.keys()
    assert not found["MongoDB users"].expected, "an account that is there is found"

    # The peer is told, keeps what it was sent, and can write to it no more.
    kinds = {(entry["type"], entry.get("change")) for entry in await sync(bob, cursor=0)}
    assert kinds >= {("keys", "removed"), ("message", None)}
    status, problem = await bob.send(alice, b"too late")
    assert (status, problem["code"]) == (404, "unknown_user")


@pytest.mark.attack("sending with the access token of an erased account")
async def test_no_token_outlives_its_account(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    user = await erase_now(world, alice)
    assert (await alice.send(bob))[0] == 401
    assert (await alice.call("GET", "/v1/sync"))[0] == 401
    status, problem = await world.call(
        "POST", "/v1/sessions/refresh", {"refresh_token": alice.tokens["refresh_token"]}
    )
    assert status == 401, problem
    status, problem = await world.call(
        "POST", "/v1/sessions", {"username": alice.username, "password": PASSWORD, "device_id": alice.device}
    )
    assert (status, problem["code"]) == (401, "bad_credentials")
    assert await world.store.accounts.users_by_id([user]) == {}


@pytest.mark.attack("registering the username of an erased account")
async def test_a_username_stays_taken_for_a_while(world: World) -> None:
    alice = await world.person()
    await erase_now(world, alice)
    status, problem = await world.call(
        "POST", "/v1/accounts", {"username": alice.username, "password": PASSWORD}
    )
    assert (status, problem["code"]) == (409, "username_taken")


@pytest.mark.attack("inheriting the messages, blocks and contacts of a username")
async def test_who_has_the_name_next_inherits_nothing(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await bob.send(alice, b"for the first alice")
    _, accepted = await alice.send(bob)
    await bob.receive(accepted["seq"])  # a block also drops what is still on its way
    await bob.call("PUT", f"/v1/blocks/{alice.username}", expect=204)
    user = await erase_now(world, alice)
    # As after the time for which it is reserved.
    await world.store.erasures._rows.update({"_id": user}, {"$unset": {"name": ""}})
    account = {"username": alice.username, "password": PASSWORD}
    assert (await world.call("POST", "/v1/accounts", account))[0] == 201
    heir = await alice.log_in()
    await heir.publish_keys()
    assert heir.tokens["user_id"] != user
    assert await sync(heir) == []
    assert (await heir.call("GET", "/v1/conversations", expect=200))["conversations"] == []
    assert (await heir.call("GET", f"/v1/conversations/{bob.username}/messages", expect=200))[
        "messages"
    ] == []
    status, _ = await heir.send(bob, b"from another alice")
    assert status == 202

    async def came() -> bool:
        return sum(entry["type"] == "message" for entry in await sync(bob, cursor=0)) == 2

    await eventually(came, "both messages: the block was of the one before")


@pytest.mark.attack("a message comes out of the log again after its recipient was erased")
async def test_what_the_log_brings_later_is_kept_nowhere(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    user = await erase_now(world, alice)
    record = MessageRecord(
        user,
        new_id(),
        bob.tokens["user_id"],
        bob.username,
        bob.device,
        0,
        now_ms(),
        "s",
        {alice.device: b"x"},
    )
    sequencer = world.gateways[0].collaborators.sequencer
    [seq] = await sequencer.append([(user, encode_record(record))])
    assert isinstance(seq, int)

    async def handled() -> bool:
        states = await world.store.cluster.log_states()
        return any(state.handled(seq) for state in states.values())

    await eventually(handled, "the router has gone past it")
    assert await world.store.mailboxes.latest(user, 2**53 - 1, 9) == []
    letters = await world.store.erasures._of("dead").many({})
    assert not [letter for letter in letters if user.encode() in letter["value"]]


async def test_an_erasure_that_was_cut_short_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step may be done again: here the store goes away in the middle of the first look."""
    alice = await world.person()
    eraser = world.host._eraser
    erase, calls = eraser._store.erasures.erase, 0

    async def breaks_once(user: str, until_ms: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Unavailable("The store is away.")
        return await erase(user, until_ms)

    monkeypatch.setattr(eraser._store.erasures, "erase", breaks_once)
    user = await erase_now(world, alice)
    assert calls >= 3
    assert await world.store.accounts.users_by_id([user]) == {}


# --- export ---


async def test_an_export_holds_everything_but_secrets(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await bob.send(alice, b"hello alice")
    await sync(alice, wait_s=10)
    await alice.send(bob)
    browser = Browser("https://fcm.googleapis.com/fcm/send/alice")
    await alice.call("PUT", "/v1/devices/current/push", browser.registration, expect=204)

    async def stored() -> object:
        return await world.store.mailboxes.latest(alice.tokens["user_id"], 2**53 - 1, 1)

    await eventually(stored, "the entry is stored")
    document = await alice.call("GET", "/v1/me/export", expect=200)
    assert document["account"]["username"] == alice.username
    [device] = document["devices"]
    assert (device["device"], device["push_token"]) == (alice.device, browser.endpoint)
    assert device["keys"]["device_id"] == alice.device
    [entry] = document["mailbox"]
    assert (entry["type"], entry["sender_name"]) == ("message", bob.username)
    assert entry["payloads"] == {alice.device: "aGVsbG8gYWxpY2U="}
    assert len(document["sessions"]) == 1
    text = json.dumps(document)
    user = (await world.store.accounts.users_by_id([alice.tokens["user_id"]]))[alice.tokens["user_id"]]
    assert user.password_hash not in text
    for secret in (
        bob.tokens["access_token"],
        *(wire.unpadded(decoded(key)) for key in browser.keys.values()),
    ):
        assert secret not in text


@pytest.mark.attack("exporting a message after its time, before a host has emptied it")
async def test_an_export_has_nothing_of_a_message_whose_time_is_over(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    await bob.call("POST", "/v1/messages", message(alice, b"for a minute", expires_in_s=60), expect=202)
    await sync(alice, wait_s=10)
    me = alice.tokens["user_id"]

    async def stored() -> object:
        return await world.store.mailboxes.latest(me, 2**53 - 1, 1)

    await eventually(stored, "the entry is stored")
    user = (await world.store.accounts.users_by_id([me]))[me]
    for later_ms, payload in ((0, "Zm9yIGEgbWludXRl"), (61_000, "")):
        pieces = [piece async for piece in export_of(world.store, user, lambda ms=later_ms: now_ms() + ms)]
        [entry] = json.loads(b"".join(pieces))["mailbox"]
        assert entry["payloads"] == {alice.device: payload}


@pytest.mark.attack("exporting another user's data")
async def test_an_export_is_of_the_caller_only(world: World) -> None:
    alice, bob, eve = [await world.person() for _ in range(3)]
    await bob.send(alice, b"for alice only")
    await sync(alice, wait_s=10)
    document = await eve.call("GET", f"/v1/me/export?user={alice.tokens['user_id']}", expect=200)
    assert document["account"]["username"] == eve.username
    assert alice.tokens["user_id"] not in json.dumps(document)


async def test_exports_are_few(world: World) -> None:
    alice = await world.person()
    answers = [(await alice.call("GET", "/v1/me/export"))[0] for _ in range(6)]
    assert answers == [200] * 5 + [429]


# --- full mailboxes ---


@pytest.mark.attack("a stranger floods the mailbox of one who is away")
async def test_a_flood_ends_with_mailbox_full_and_a_friend_gets_through(world: World) -> None:
    alice, eve, friend = [await world.person() for _ in range(3)]
    await alice.send(friend)

    async def refused() -> bool:
        status, problem = await eve.send(alice)
        if status != 202:
            assert (status, problem["code"]) == (429, "mailbox_full")
            assert problem["retry_after_s"] == 60
        return bool(status != 202)

    await eventually(refused, "the stranger is refused")
    status, problem = await eve.send(friend, b"to another one")
    assert status == 202, problem
    for _ in range(10):
        status, problem = await friend.send(alice)
        assert status == 202, problem
    [*entries] = await sync(alice, limit=256)
    await alice.call("POST", "/v1/acks", {"seq": entries[-1]["seq"]}, expect=204)

    async def accepted() -> bool:
        return (await eve.send(alice))[0] == 202

    await eventually(accepted, "what was fetched has made room")


@pytest.mark.attack("a stranger sends more after its request was fetched")
async def test_a_request_waits_for_acceptance(world: World) -> None:
    alice, eve = await world.person(), await world.person()
    await alice.call("PATCH", "/v1/me", {"requests": True}, expect=200)
    sent: list[int] = []
    while (answer := await eve.send(alice))[0] == 202:
        sent.append(answer[1]["seq"])
        assert len(sent) < 200
        await asyncio.sleep(0.01)
    entries = await alice.receive(sent[-1])
    assert [entry["seq"] for entry in entries] == sent, "what was accepted is there"
    await alice.call("POST", "/v1/acks", {"seq": entries[-1]["seq"]}, expect=204)
    await asyncio.sleep(0)
    assert (await eve.send(alice))[1]["code"] == "mailbox_full"
    await alice.call("PUT", f"/v1/conversations/{eve.username}/accepted", expect=204)

    async def accepted() -> bool:
        return (await eve.send(alice))[0] == 202

    await eventually(accepted, "an accepted stranger may write")


# --- old entries ---


def sweeper(world: World, days: int, **limits: int) -> Sweeper:
    """Return the host's sweeper as it is in so many days."""
    keep = Keep(**{"entry_ms": 0, "messages": 0, "size": 0} | limits)  # type: ignore[arg-type]
    settings = SweepSettings(keep, pause_s=0.001)
    clock = lambda: now_ms() + days * DAY_MS  # noqa: E731 -- short
    return Sweeper("test", world.store, world.host._shards, clock, Runtime(), settings)


async def three_entries(world: World, alice: Person, bob: Person) -> list[int]:
    """Have Bob send three messages to Alice, each stored by itself; returns their numbers."""
    seqs = []
    for number in range(3):
        _, accepted = await bob.send(alice, b"number %d" % number)
        seqs.append(accepted["seq"])

        async def stored(seq: int = accepted["seq"]) -> object:
            return await world.store.mailboxes.exists(alice.tokens["user_id"], seq)

        await eventually(stored, "the entry is stored")
    return seqs


async def left(world: World, alice: Person) -> list[int]:
    found = await world.store.mailboxes.range(alice.tokens["user_id"], 0, 2**53 - 1, 10)
    return [each.seq for each in found]


async def forgotten(world: World, person: Person) -> None:
    """Have the host let go of a user's actor, as soon as it may, so that it is loaded again.

    Not by hand: an entry may be in the store while the host does not know it yet. An actor that is loaded
    then does not count it, as it comes again with the log after a crash, and after this it never would.
    """
    user = person.tokens["user_id"]

    async def gone() -> bool:
        await world.host.tell({"act": "hurry"})
        resident = world.host._residents.get(user)
        return resident is None or world.host._passivation.passivate(user, resident) is not None

    await eventually(gone, "the actor is gone")


async def swept(world: World, sweeps: Sweeper, alice: Person, rest: list[int]) -> None:
    """Sweep until this is left: what the log may yet bring again is not swept."""

    async def is_left() -> bool:
        await world.host.tell({"act": "hurry"})
        await sweeps.sweep(alice.tokens["user_id"])
        return await left(world, alice) == rest

    await eventually(is_left, f"only {rest} is left")


async def test_an_entry_waits_for_a_device_in_use_however_old_it_is(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    seqs = await three_entries(world, alice, bob)
    await sweeper(world, 29, entry_ms=1).sweep(alice.tokens["user_id"])
    assert await left(world, alice) == seqs
    await alice.call("POST", "/v1/acks", {"seq": seqs[1]}, expect=204)
    await swept(world, sweeper(world, 29, entry_ms=1), alice, seqs[2:])
    assert [each["seq"] for each in await sync(alice)] == seqs[2:]


async def test_a_device_that_was_away_for_too_long_is_told_what_it_missed(world: World) -> None:
    """In a sync and on its stream; and once it has read on, no more."""
    alice, bob = await world.person(), await world.person()
    seqs = await three_entries(world, alice, bob)
    await swept(world, sweeper(world, 31, entry_ms=1), alice, seqs[2:])  # the newest shows what is gone
    await forgotten(world, alice)  # what is in memory is not missed yet
    page = await alice.call("GET", "/v1/sync", expect=200)
    assert page["missed"] is True
    assert [each["seq"] for each in page["entries"]] == seqs[2:]
    async with alice.stream() as socket:
        await socket.send_json({"type": "hello", "token": alice.token})
        await until(socket, "missed")
        frame = await until(socket, "entries")
        assert [each["seq"] for each in frame["entries"]] == seqs[2:]
        await until(socket, "drained")
    await alice.call("POST", "/v1/acks", {"seq": seqs[2]}, expect=204)
    page = await alice.call("GET", "/v1/sync", expect=200)
    assert page["missed"] is False


async def test_a_walk_goes_on_where_the_last_one_was_cut_short(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    seqs = await three_entries(world, alice, bob)
    before = "".join(chr(ord(each) - 1) if place == 0 else each for place, each in enumerate(alice.username))
    await world.store.retention.put_position("test", before)
    walk = sweeper(world, 31, entry_ms=1)

    async def walked() -> bool:
        await world.host.tell({"act": "hurry"})
        await walk.walk()
        return await left(world, alice) == seqs[2:]

    await eventually(walked, "old entries are gone")
    assert await world.store.retention.position("test") == ""


async def test_an_actor_stays_until_the_store_has_said_that_it_has_its_entries(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is loaded while only the store knows of an entry does not count it."""
    alice, bob = await world.person(), await world.person()
    user, answered = alice.tokens["user_id"], asyncio.Event()
    mailboxes = world.host._store.mailboxes
    insert = mailboxes.insert

    async def answers_late(documents: Any) -> None:
        await insert(documents)
        if any(each.user == user and each.kind == "m" for each in documents):
            await answered.wait()

    try:
        with monkeypatch.context() as late:
            late.setattr(mailboxes, "insert", answers_late)
            _, accepted = await bob.send(alice, b"stays")
            await eventually(lambda: mailboxes.exists(user, accepted["seq"]), "the entry is in the store")
        assert world.host._passivation.passivate(user, world.host._residents.get(user)) is None
    finally:
        answered.set()  # the host stores nothing else before that
    await forgotten(world, alice)
    assert [each["seq"] for each in await sync(alice)] == [accepted["seq"]]


# --- disappearing messages ---


@pytest.mark.parametrize("seconds", [0, -1, 2_419_201, 2**63, 1.5, "5", True])
@pytest.mark.attack("a message with an impossible lifetime")
async def test_lifetimes_are_checked(world: World, seconds: Any) -> None:
    alice, bob = await world.person(), await world.person()
    status, problem = await bob.call("POST", "/v1/messages", message(alice, expires_in_s=seconds))
    assert status in (400, 422), problem


@pytest.mark.attack("fetching a message after its time, from memory, store, history or log")
async def test_a_message_disappears_everywhere(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    user = alice.tokens["user_id"]
    body = message(alice, b"soon gone", expires_in_s=5)
    status, accepted = await bob.call("POST", "/v1/messages", body)
    assert status == 202
    _, after = await bob.send(alice, b"stays")
    [entry, _] = await alice.receive(after["seq"])
    assert entry["expires_at_ms"] == accepted["accepted_at_ms"] + 5_000

    async def emptied() -> bool:
        found = await world.store.mailboxes.range(user, accepted["seq"] - 1, accepted["seq"], 1)
        return bool(found) and b"soon gone" not in found[0].record

    await eventually(emptied, "the content is gone from the store")
    await eventually(lambda: world.store.mailboxes.exists(user, after["seq"]), "the other one is stored")
    assert [each["seq"] for each in await sync(alice)] == [after["seq"]], "in memory"
    await forgotten(world, alice)  # as after a restart: the actor is loaded again
    page = await alice.call("GET", "/v1/sync", expect=200)
    assert ([each["seq"] for each in page["entries"]], page["missed"]) == ([after["seq"]], False)
    path = f"/v1/conversations/{bob.username}/messages"
    history = await alice.call("GET", path, expect=200)
    assert [each["seq"] for each in history["messages"]] == [after["seq"]]
    await alice.call("POST", "/v1/acks", {"seq": after["seq"]}, expect=204)

    # Who sends it again has sent it, whatever the caches have forgotten.
    for gateway in world.gateways:
        gateway.collaborators.answers._recent.clear()
    status, again = await bob.call("POST", "/v1/messages", body)
    assert (status, again["seq"]) == (202, accepted["seq"])
    async with alice.hello(cursor=0) as socket:
        await until(socket, "drained")
    assert len(await left(world, alice)) == 2
