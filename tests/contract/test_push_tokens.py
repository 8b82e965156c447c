"""Push tokens: each belongs to one device and one session, whoever registers at once."""

import asyncio
from typing import Any

import pytest
from pymongo import MongoClient

from storage.account_rows import Device, PushToken, TokenFamily
from storage.mongo import MongoStore

TOKEN = "push-secret"
NEVER_MS = 4_000_000_000_000


async def held(store: MongoStore) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Return who has which token, and of which session."""
    found = await store.accounts.devices_of(["ann", "bob"])
    return {
        (each.user, each.device): (each.push_token, each.push_session)
        for devices in found.values()
        for each in devices
        if each.push_token is not None
    }


@pytest.fixture
async def devices(store: MongoStore) -> MongoStore:
    """Ann has two devices, Bob one; each has a session by its own name."""
    for user, device in (("ann", "A1"), ("ann", "A2"), ("bob", "B1")):
        await store.accounts.add_device(Device(user, device, device, 1))
        await store.sessions.add(TokenFamily(device, user, device, b"", None, 7, 7, NEVER_MS))
    return store


@pytest.mark.parametrize(("user", "device"), [("ann", "A2"), ("bob", "B1")])
async def test_who_registers_a_token_last_has_it(devices: MongoStore, user: str, device: str) -> None:
    register = devices.push_tokens.register
    assert await register("ann", "A1", PushToken("fcm", TOKEN), "A1", 1_000) == ["ann"]
    assert await register("ann", "A1", PushToken("fcm", TOKEN), "A1", 2_000) == [], "nothing has changed"
    # The clock of the second gateway is behind.
    assert set(await register(user, device, PushToken("fcm", TOKEN), device, 500) or ()) == {"ann", user}
    assert await held(devices) == {(user, device): (TOKEN, device)}
    assert await register("ann", "A1", PushToken("fcm", "another"), "A1", 2_000) == ["ann"]
    assert len(await held(devices)) == 2


ENDPOINT = "https://push.example.org/endpoint-secret"


@pytest.mark.attack(
    "be woken, or have someone else woken, by a push endpoint that is another account's",
    "who registered it last has it, and alone",
)
@pytest.mark.parametrize(("user", "device"), [("ann", "A2"), ("bob", "B1")])
async def test_an_endpoint_belongs_to_one_device_whatever_its_keys(
    devices: MongoStore, user: str, device: str
) -> None:
    tokens = devices.push_tokens
    assert await tokens.register("ann", "A1", PushToken("webpush", ENDPOINT, "keys"), "A1", 1)
    changed = await tokens.register(user, device, PushToken("webpush", ENDPOINT, "others"), device, 2)
    assert set(changed or ()) == {"ann", user}
    assert await held(devices) == {(user, device): (ENDPOINT, device)}
    assert await tokens.register("ann", "A1", PushToken("fcm", ENDPOINT), "A1", 3)
    assert len(await held(devices)) == 2, "FCM's tokens are others"


async def test_keys_of_an_endpoint_are_replaced_and_go_with_it(devices: MongoStore) -> None:
    async def kept() -> tuple[str | None, str | None, str | None]:
        [mine] = [each for each in (await devices.accounts.devices_of(["ann"]))["ann"] if each.device == "A1"]
        return mine.push_provider, mine.push_token, mine.push_keys

    register = devices.push_tokens.register
    for keys, changed in (("first", ["ann"]), ("first", []), ("second", ["ann"])):
        assert await register("ann", "A1", PushToken("webpush", ENDPOINT, keys), "A1", 1) == changed
        assert await kept() == ("webpush", ENDPOINT, keys)
    assert await register("ann", "A1", PushToken("fcm", TOKEN), "A1", 1) == ["ann"]
    assert await kept() == ("fcm", TOKEN, None)
    assert await register("ann", "A1", PushToken("webpush", ENDPOINT, "third"), "A1", 1)
    assert await devices.push_tokens.drop("ann", "A1", ENDPOINT)
    assert await kept() == (None, None, None)


async def test_devices_of_before_there_were_keys_are_read(
    devices: MongoStore, mongo_url: str, database: str
) -> None:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[database]["devices"].update_many({}, {"$unset": {"push_keys": ""}})
    assert await devices.push_tokens.register("ann", "A1", PushToken("webpush", ENDPOINT, "keys"), "A1", 1)
    assert len((await devices.accounts.devices_of(["ann"]))["ann"]) == 2


async def test_of_many_at_once_one_has_it(devices: MongoStore) -> None:
    rivals = [("ann", "A1"), ("ann", "A2"), ("bob", "B1")]
    for number in range(10):
        calls = (
            devices.push_tokens.register(*each, PushToken("fcm", f"t{number}"), each[1], 1_000)
            for each in rivals
        )
        assert None not in await asyncio.gather(*calls)
        assert [token for token, _ in (await held(devices)).values()] == [f"t{number}"]


async def test_each_registration_of_a_device_is_later_than_the_one_before(devices: MongoStore) -> None:
    since: list[int] = []
    for now_ms in (1_000, 1_000, 10):
        assert await devices.push_tokens.register("ann", "A1", PushToken("fcm", TOKEN), "A1", now_ms)
        since.append((await devices.accounts.devices_of(["ann"]))["ann"][0].push_since_ms)
        assert await devices.push_tokens.drop("ann", "A1", TOKEN)
    assert since == [1_000, 1_001, 1_002]


async def test_a_token_is_dropped_only_if_it_is_still_that_one(devices: MongoStore) -> None:
    tokens = devices.push_tokens
    assert await tokens.register("ann", "A1", PushToken("fcm", TOKEN), "A1", 1)
    assert not await tokens.drop("ann", "A1", "older")
    assert await held(devices) == {("ann", "A1"): (TOKEN, "A1")}
    assert await tokens.drop("ann", "A1", TOKEN)
    assert not await tokens.drop("ann", "A1", None)
    assert await tokens.register("ann", "OTHER", PushToken("fcm", TOKEN), "A1", 1) is None


async def test_it_ends_with_its_session_and_with_no_other(devices: MongoStore) -> None:
    tokens = devices.push_tokens
    assert await tokens.register("ann", "A1", PushToken("fcm", TOKEN), "A1", 1)
    assert await tokens.register("ann", "A2", PushToken("fcm", "t2"), "A2", 1)
    assert not await tokens.end("ann", [])
    assert not await tokens.end("ann", ["earlier"])
    assert not await tokens.end("bob", ["A1"])
    assert await tokens.end("ann", ["A1", "earlier"])
    assert await held(devices) == {("ann", "A2"): ("t2", "A2")}


async def test_tokens_of_before_are_adopted_at_the_start(
    devices: MongoStore, mongo_url: str, database: str
) -> None:
    """Two devices had one token then, and one had a token whose session is over."""
    for user, device, token in (("ann", "A1", TOKEN), ("bob", "B1", TOKEN), ("ann", "A2", "t2")):
        assert await devices.push_tokens.register(
            user, device, PushToken("fcm", f"{token}.{device}"), device, 1
        )
        await _as_before(devices, mongo_url, database, user, device, token)
    await devices.sessions.end("ann", "A2", 9)
    await devices.sessions.add(TokenFamily("B2", "bob", "B1", b"", None, 8, 8, NEVER_MS))
    await devices.prepare()
    await devices.prepare()
    assert await held(devices) == {("bob", "B1"): (TOKEN, "B2")}
    assert await devices.push_tokens.register("ann", "A1", PushToken("fcm", TOKEN), "A1", 9)
    assert await held(devices) == {("ann", "A1"): (TOKEN, "A1")}


async def _as_before(
    store: MongoStore, mongo_url: str, database: str, user: str, device: str, token: str
) -> None:
    """Make a device's document what it was before tokens had sessions."""
    sealed = store.push_tokens._ring.seal("devices", f"{user}|{device}", "push_token", token)
    change: dict[str, Any] = {
        "$set": {"push_token": sealed},
        "$unset": {"push_index": "", "push_session": "", "push_since_ms": ""},
    }
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[database]["devices"].update_one({"_id": f"{user}|{device}"}, change)
