"""A sender's other devices: copies, messages to oneself, control messages; over HTTP and the stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from actors.host import HostSettings
from actors.host.upkeep.sweeper import SweepSettings
from api.identity.limits import Limit
from roost import wire
from roost.clock import now_ms
from storage.records import SentRecord, decode_record
from tests.integration.api_world import Person, Urls, World, message, new_id, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = wire.unpadded(b"hi")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    host = HostSettings(sweep=SweepSettings(expired_every_s=0.05, pause_s=0.001))
    limits = {"bytes_by_device": Limit(1.0, 500_000)}
    async with running(Urls(mongo_url, redis_url), limits=limits, host=host) as whole:
        yield whole


async def two_devices(world: World) -> tuple[Person, Person]:
    phone = await world.person()
    laptop = await phone.log_in()
    await laptop.publish_keys()
    return phone, laptop


async def sent(who: Person, to: Person, **changes: Any) -> Any:
    return await who.call("POST", "/v1/messages", message(to, **changes), expect=202)


async def problem(who: Person, to: Person, **changes: Any) -> tuple[int, dict[str, Any]]:
    status, answer = await who.call("POST", "/v1/messages", message(to, **changes))
    return status, {
        name: answer.get(name) for name in ("code", "missing", "extra", "own_missing", "own_extra")
    }


async def entries(who: Person, kind: str, count: int = 1) -> list[dict[str, Any]]:
    deadline = now_ms() + 10_000
    while now_ms() < deadline:
        page = await who.call("GET", "/v1/sync?wait_s=1&limit=256", expect=200)
        found = [each for each in page["entries"] if each["type"] == kind]
        if len(found) >= count:
            return found
    raise AssertionError(f"still {found}")


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = now_ms() + 10_000
    while not await condition():
        assert now_ms() < deadline
        await asyncio.sleep(0.02)


async def test_each_other_device_gets_its_copy_of_what_was_sent(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    copy = wire.unpadded(b"for the laptop")
    accepted = await sent(phone, bob, own={laptop.device: copy}, silent=True, expires_in_s=1000)
    [entry] = await entries(laptop, "sent")
    [received] = await entries(bob, "message")
    assert {name: entry[name] for name in ("id", "to", "to_seq", "from_device", "payload", "silent")} == {
        "id": accepted["id"],
        "to": bob.username,
        "to_seq": accepted["seq"],
        "from_device": phone.device,
        "payload": copy,
        "silent": True,
    }
    assert entry["suite"] == "sealed.v1"
    assert entry["accepted_at_ms"] == accepted["accepted_at_ms"]
    assert entry["expires_at_ms"] == received["expires_at_ms"] == accepted["accepted_at_ms"] + 1_000_000
    assert received["silent"]
    page = await phone.call("GET", "/v1/sync", expect=200)
    assert not [each for each in page["entries"] if each["type"] in ("message", "sent")]


async def test_a_message_without_copies_is_told_without_and_says_nothing_of_silence(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    await sent(phone, bob)
    [entry] = await entries(laptop, "sent")
    [received] = await entries(bob, "message")
    assert not {"payload", "silent", "suite"} & entry.keys()
    assert "silent" not in received


@pytest.mark.attack(
    "name a stranger's device among one's own", "own copies are for exactly one's own devices"
)
async def test_own_copies_are_for_exactly_the_other_devices_that_have_keys(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    await phone.log_in()  # a device without keys
    none: dict[str, Any] = {"code": "device_mismatch", "missing": [], "extra": []}
    for own, missing, extra in (
        ({}, [laptop.device], []),
        ({phone.device: TEXT, laptop.device: TEXT}, [], [phone.device]),
        ({laptop.device: TEXT, bob.device: TEXT}, [], [bob.device]),
        ({bob.device: TEXT}, [laptop.device], [bob.device]),
    ):
        expected = none | {"own_missing": missing, "own_extra": extra}
        assert await problem(phone, bob, own=own) == (409, expected)
    status, both = await problem(phone, bob, own={}, payloads={"OTHER": TEXT})
    assert (status, both["missing"], both["extra"]) == (409, [bob.device], ["OTHER"])
    assert both["own_missing"] == [laptop.device]
    alone = await world.person()
    await sent(alone, bob, own={})


@pytest.mark.parametrize(
    ("own", "status", "code"),
    [
        ({"D": "not base64!"}, 422, "invalid"),
        ({"D" * 65: TEXT}, 422, "invalid"),
        ([], 422, "invalid"),
        ({"D": wire.unpadded(b"x" * 65_537)}, 413, "too_large"),
        ({f"D{number}": TEXT for number in range(21)}, 413, "too_large"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_own_copies_have_their_bounds(world: World, own: Any, status: int, code: str) -> None:
    alice = await world.person()
    found, told = await problem(alice, alice, own=own)
    assert (found, told["code"]) == (status, code)


async def test_a_repeat_gets_the_same_answer_and_other_copies_do_not(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    first = new_id(60_000)
    own = {laptop.device: TEXT}
    accepted = await sent(phone, bob, message_id=first, own=own)
    assert await sent(phone, bob, message_id=first, own=own) == accepted
    for changes in ({"own": {laptop.device: wire.unpadded(b"other")}}, {"own": own, "silent": True}, {}):
        status, told = await problem(phone, bob, message_id=first, **changes)
        assert (status, told["code"]) == (409, "id_reused"), changes

    # As another gateway sees it which has heard nothing: what is stored is compared, and copied once more.
    # So is what was sealed again: the copies of the first time may not be written.
    await forgotten(world, phone, bob, accepted)
    assert await sent(phone, bob, message_id=first, own=own) == accepted
    assert len(await entries(laptop, "sent", 2)) == 2
    status, told = await problem(phone, bob, message_id=first, own={laptop.device: wire.unpadded(b"again")})
    assert (status, told["code"]) == (409, "id_reused")
    assert [each["payload"] for each in await entries(laptop, "sent", 3)][2] == wire.unpadded(b"again")
    # But not without copies for all: it would learn that its message is there, and send none any more.
    for changes in ({"own": {}}, {"own": {}, "silent": True}):
        status, told = await problem(phone, bob, message_id=first, **changes)
        assert (status, told["code"], told["own_missing"]) == (409, "device_mismatch", [laptop.device])


async def test_copies_that_are_owed_are_written_though_the_id_is_refused_for_its_time(world: World) -> None:
    """A gateway ended before it wrote them, and the clock of the next one is behind."""
    (phone, laptop), bob = await two_devices(world), await world.person()
    first, own = new_id(-240_000), {laptop.device: TEXT}
    accepted = await sent(phone, bob, message_id=first, own=own)
    await forgotten(world, phone, bob, accepted)
    acceptance = world.gateways[0].collaborators.acceptance
    acceptance._clock = lambda: now_ms() - 600_000
    assert await sent(phone, bob, message_id=first, own=own) == accepted
    assert [each["payload"] for each in await entries(laptop, "sent", 2)] == [TEXT, TEXT]
    for more in ({"own": own}, {}):
        status, told = await problem(phone, bob, message_id=new_id(-240_000), **more)
        assert (status, told["code"]) == (409, "id_expired")
    acceptance._clock = now_ms


async def forgotten(world: World, who: Person, to: Person, accepted: dict[str, Any]) -> None:
    """Return once a message is in the mailbox, and no one knows any more how it was answered."""
    user = (await to.call("GET", "/v1/me", expect=200))["user_id"]
    await eventually(lambda: world.store.mailboxes.exists(user, accepted["seq"]))
    collaborators = world.gateways[0].collaborators
    await collaborators.answers.close()
    collaborators.answers._recent.clear()
    cache: Any = collaborators.cache
    await cache._redis.delete(cache._answer((who.device, accepted["id"])))


async def test_what_was_sent_without_copies_has_none_later(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    first = new_id(60_000)
    await forgotten(world, phone, bob, await sent(phone, bob, message_id=first))
    status, told = await problem(phone, bob, message_id=first, own={laptop.device: TEXT})
    assert (status, told["code"]) == (409, "id_reused")
    last = await sent(phone, bob, own={laptop.device: TEXT})
    assert [each["id"] for each in await entries(laptop, "sent", 2)] == [first, last["id"]]


async def test_the_stream_takes_and_gives_copies(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    async with phone.hello() as sending, laptop.hello() as receiving:
        whole = message(bob, own={laptop.device: TEXT}, silent=True)
        await sending.send_json({"type": "send", **whole})
        accepted = await until(sending, "accepted")
        entry: dict[str, Any] = {}
        while entry.get("type") != "sent":
            entry = (await until(receiving, "entries"))["entries"][-1]
        assert (entry["id"], entry["payload"], entry["silent"]) == (accepted["id"], TEXT, True)
        await sending.send_json({"type": "send", **message(bob, own={})})
        refused = await until(sending, "rejected")
        assert (refused["own_missing"], refused["own_extra"]) == ([laptop.device], [])


async def test_history_has_both_sides(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    own = {laptop.device: wire.unpadded(b"mine")}
    ids = [(await sent(phone, bob, own=own))["id"]]
    ids.append((await sent(bob, phone, payloads={phone.device: TEXT, laptop.device: TEXT}))["id"])
    ids.append((await sent(phone, bob, own=own))["id"])
    await sent(phone, bob)  # without a copy
    await entries(laptop, "sent", 3)
    path = f"/v1/conversations/{bob.username}/messages"

    async def history(who: Person, query: str = "") -> list[tuple[str, str]]:
        found = (await who.call("GET", path + query, expect=200))["messages"]
        return [(each["type"], each["id"]) for each in found]

    both = [("sent", ids[2]), ("message", ids[1]), ("sent", ids[0])]

    async def is_whole() -> bool:
        return await history(laptop) == both

    await eventually(is_whole)
    assert await history(laptop, "?limit=2") == both[:2]
    assert await history(phone) == [("message", ids[1])], "what it sent is on the device"
    me = (await phone.call("GET", "/v1/me", expect=200))["user_id"]

    async def is_stored() -> bool:
        bob_id = (await bob.call("GET", "/v1/me", expect=200))["user_id"]
        return len(await world.store.mailboxes.history(me, bob_id, 2**53, 9, sent=True)) == 3

    await eventually(is_stored)
    assert await history(laptop) == both
    exported = await phone.call("GET", "/v1/me/export", expect=200)
    copies = [each for each in exported["mailbox"] if each["type"] == "sent"]
    assert [each["payloads"].keys() for each in copies] == [{laptop.device}, {laptop.device}, set()]


async def test_control_messages_are_not_counted_as_unread(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    loud = await sent(alice, bob)
    quiet = await sent(alice, bob, silent=True)

    async def counted() -> bool:
        listed = (await bob.call("GET", "/v1/conversations", expect=200))["conversations"]
        return [(each["unread"], each["last_seq"]) for each in listed] == [(1, loud["seq"])]

    bob_id = (await bob.call("GET", "/v1/me", expect=200))["user_id"]
    await entries(bob, "message", 2)
    await eventually(counted)
    await eventually(lambda: world.store.mailboxes.exists(bob_id, quiet["seq"]))
    assert await counted()


@pytest.mark.attack("flood a user with control messages, which show nowhere", "they are limited like others")
async def test_control_messages_and_copies_count_against_the_limits(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    large = wire.unpadded(b"x" * 65_000)
    statuses = []
    for _ in range(5):
        body = message(bob, payloads={bob.device: large}, own={laptop.device: large}, silent=True)
        statuses.append((await phone.call("POST", "/v1/messages", body))[0])
    assert statuses == [202, 202, 202, 429, 429], "500,000 bytes are three times 130,000"


async def test_a_message_to_oneself_is_for_ones_other_devices(world: World) -> None:
    phone, laptop = await two_devices(world)
    accepted = await sent(phone, phone, payloads={laptop.device: TEXT})
    [entry] = await entries(laptop, "message")
    assert (entry["id"], entry["from"], entry["from_device"]) == (
        accepted["id"],
        phone.username,
        phone.device,
    )
    page = await laptop.call("GET", "/v1/sync", expect=200)
    assert not [each for each in page["entries"] if each["type"] == "sent"], "no copy of it besides"
    page = await phone.call("GET", "/v1/sync", expect=200)
    assert not [each for each in page["entries"] if each["type"] == "message"]
    [receipt] = await entries(phone, "receipt")
    assert (receipt["peer"], receipt["delivered_seq"]) == (phone.username, accepted["seq"])
    state = await phone.call("GET", f"/v1/messages/{accepted['id']}", expect=200)
    assert state["state"] == "delivered"
    listed = (await laptop.call("GET", "/v1/conversations", expect=200))["conversations"]
    assert [(each["peer"], each["unread"]) for each in listed] == [(phone.username, 0)]

    both = {phone.device: TEXT, laptop.device: TEXT}
    status, told = await problem(phone, phone, payloads=both)
    assert (status, told["missing"], told["extra"]) == (409, [], [phone.device])
    status, told = await problem(phone, phone, payloads={laptop.device: TEXT}, own={laptop.device: TEXT})
    assert (status, told["own_missing"], told["own_extra"]) == (409, [], [laptop.device])


async def test_a_message_to_oneself_needs_another_device(world: World) -> None:
    alone = await world.person()
    status, told = await problem(alone, alone, payloads={})
    assert (status, told["code"], told["missing"], told["extra"]) == (409, "device_mismatch", [], [])


async def test_what_devices_tell_each_other_is_no_conversation(world: World) -> None:
    phone, laptop = await two_devices(world)
    await sent(phone, phone, payloads={laptop.device: TEXT}, silent=True)
    await entries(phone, "receipt")

    async def listed() -> bool:
        return (await laptop.call("GET", "/v1/conversations", expect=200))["conversations"] == []

    await eventually(listed)


async def test_copies_go_with_what_disappears(world: World) -> None:
    (phone, laptop), bob = await two_devices(world), await world.person()
    await sent(phone, bob, own={laptop.device: TEXT}, expires_in_s=3)
    [entry] = await entries(laptop, "sent")
    me = (await phone.call("GET", "/v1/me", expect=200))["user_id"]

    async def is_gone() -> bool:
        path = f"/v1/conversations/{bob.username}/messages"
        return (await laptop.call("GET", path, expect=200))["messages"] == []

    await eventually(is_gone)
    page = await laptop.call("GET", f"/v1/sync?cursor={entry['prev']}", expect=200)
    assert not [each for each in page["entries"] if each["type"] == "sent"]

    async def is_emptied() -> bool:
        found = await world.store.mailboxes.range(me, entry["seq"] - 1, entry["seq"], 1)
        record = decode_record(found[0].record) if found else None
        return isinstance(record, SentRecord) and record.payloads == {laptop.device: b""}

    await eventually(is_emptied)
