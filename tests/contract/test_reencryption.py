"""Re-encryption of a store, as an earlier release left it or after a rotation."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from msgspec import structs
from pymongo import MongoClient

from storage.account_rows import Device, PushToken, User
from storage.keyring import KeyRing, SealBroken, Secrets
from storage.keyring.data_key import COLLECTION
from storage.mailbox_rows import Block, Conversation
from storage.mongo import MongoStore
from storage.mongo.driver import Driver
from storage.mongo.reencryption import UNSEALED, Place

NOW = 1_795_000_000_000
ALICE = User("u-alice", "alice", "argon2", "Alice", 1, phone="+4670111222", email="a@example.org")
PHONE = Device("u-alice", "PHONEPHONE", "a phone", 5, push_provider="fcm", push_token="push-secret")
BLOCK = Block("u-alice", "u-mallory", "mallory", 10)
ROW = Conversation("u-alice", "u-bob", "bob", delivered_seq=7)


class World:
    """One store, opened with one ring after the other."""

    def __init__(self, url: str, database: str, driver: Driver, secrets: Secrets) -> None:
        self._where, self.secrets, self.now = (url, database, driver), secrets, NOW

    def ring(self) -> KeyRing:
        return KeyRing(self.secrets, lambda: self.now)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[MongoStore]:
        store = MongoStore(*self._where, self.ring())
        try:
            yield store
        finally:
            await store.close()

    async def walked(self) -> Place:
        """Re-encrypt with the ring as it is, as one command does."""
        async with self.opened() as store:
            return [Place(""), *[place async for place in store.reencryption.walk()]][-1]

    async def census(self) -> dict[str, int]:
        async with self.opened() as store:
            return dict(await store.reencryption.census())

    async def seen(self) -> tuple[Any, ...]:
        """What the system sees of it."""
        async with self.opened() as store:
            return (
                await store.accounts.users_by_id(["u-alice"]),
                await store.accounts.devices_of(["u-alice"]),
                await store.accounts.blocks_of(["u-alice"]),
                await store.conversations.of_user("u-alice"),
            )


@pytest.fixture
def driver_name(request: pytest.FixtureRequest) -> Driver:
    """One of them, where a test does not ask for both."""
    name: Driver = getattr(request, "param", "motor")
    return name


@pytest.fixture
def world(mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing) -> World:
    return World(mongo_url, database, driver_name, structs.replace(keyring.secrets, lenient=True))


@pytest.fixture
def raw(mongo_url: str, database: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        yield client[database]


async def filled(world: World) -> tuple[Any, ...]:
    async with world.opened() as store:
        await store.prepare()
        await store.accounts.add_user(ALICE)
        await store.accounts.add_device(PHONE)
        await store.accounts.set_block(BLOCK)
        await store.conversations.put([ROW])
    return await world.seen()


async def as_before(world: World, raw: Any) -> tuple[Any, ...]:
    """Fill it as the release before data keys did."""
    ring = world.ring()

    def seal(collection: str, identity: str, field: str, text: str) -> bytes:
        return ring.seal(collection, identity, field, text)

    expected = await filled(world)
    phone, email = "+4670111222", "a@example.org"
    clear = {"display_name": "Alice", "password_hash": "argon2"}
    sealed = {
        "phone": seal("users", "u-alice", "phone", phone),
        "email": seal("users", "u-alice", "email", email),
    }
    raw["users"].update_one({"_id": "u-alice"}, {"$set": clear | sealed})
    device = "u-alice|PHONEPHONE"
    names = {"name": seal("devices", device, "name", "a phone")}
    token = {"push_token": seal("devices", device, "push_token", "push-secret")}
    raw["devices"].update_one({"_id": device}, {"$set": names | token})
    raw["blocks"].update_one({"_id": "u-alice|u-mallory"}, {"$set": {"peer_name": "mallory"}})
    sheet = raw["conversations"].find_one({})
    rows = [[row[0], "bob", *row[2:]] for row in sheet["r"]]
    raw["conversations"].update_one({"_id": sheet["_id"]}, {"$set": {"r": rows}, "$unset": {"n": ""}})
    raw[COLLECTION].delete_many({})
    return expected


@pytest.mark.parametrize("driver_name", ["motor", "pymongo"], indirect=True)
async def test_store_of_an_earlier_release_is_read_and_then_sealed(world: World, raw: Any) -> None:
    expected = await as_before(world, raw)
    assert await world.seen() == expected
    ring = world.ring()
    assert await world.census() == {UNSEALED: 4, ring.sealing_key: 4, ring.indexing_key: 2}
    place = await world.walked()
    assert (place.changed, place.broken) == (4, ())
    assert await world.census() == {ring.sealing_key: 1, ring.indexing_key: 3}, (
        "the user's data key is sealed"
    )
    world.secrets = structs.replace(world.secrets, lenient=False)
    assert await world.seen() == expected
    assert (await world.walked()).changed == 0


async def test_nothing_names_a_rotated_key_afterwards(world: World) -> None:
    expected = await filled(world)
    before = world.ring()
    world.secrets = world.secrets.rotated(["storage", "index"], NOW, in_ms=5)
    world.now += 5
    async with world.opened() as store:
        assert await store.accounts.ids_by_contact("phone", "+4670111222") == ["u-alice"], "by the old index"
    assert await world.census() == {before.sealing_key: 1, before.indexing_key: 2}
    await world.walked()
    ring = world.ring()
    assert await world.census() == {ring.sealing_key: 1, ring.indexing_key: 3}
    for key in (before.sealing_key, before.indexing_key):
        world.secrets = world.secrets.retired(key, world.now)
    assert await world.seen() == expected
    async with world.opened() as store:
        assert await store.accounts.ids_by_contact("phone", "+4670111222") == ["u-alice"]


@pytest.mark.attack("data key of before a rotation put back")
async def test_data_key_of_before_a_rotation_put_back(world: World, raw: Any) -> None:
    await filled(world)
    row, old = raw[COLLECTION].find_one({}), world.ring().sealing_key
    world.secrets = world.secrets.rotated(["storage"], NOW)
    await world.walked()
    world.secrets = world.secrets.retired(old, NOW)
    raw[COLLECTION].replace_one({"_id": row["_id"]}, row)
    with pytest.raises(SealBroken, match="not in the key ring"):
        await world.seen()


async def test_concurrent_write_is_not_overwritten(world: World, raw: Any) -> None:
    """A write that comes between a read and the write of the walk stands."""
    await as_before(world, raw)
    async with world.opened() as store, world.opened() as other:
        work = store.reencryption
        changes = work._changes

        async def overtaken(*args: Any) -> Any:
            found = await changes(*args)
            if args[0] == "users":
                await other.accounts.update_profile("u-alice", {"display_name": "Alice L."})
            if args[0] == "devices":
                await other.push_tokens.register("u-alice", "PHONEPHONE", PushToken("fcm", "newer"), "s-1", 1)
            return found

        work._changes = overtaken  # type: ignore[method-assign]
        async for _ in work.walk():
            pass
    users, devices, *_ = await world.seen()
    assert users["u-alice"].display_name == "Alice L."
    assert devices["u-alice"][0].push_token == "newer"
    assert (await world.census()).get(UNSEALED) == 1, "what it did not touch is left for the next walk"
    await world.walked()
    assert UNSEALED not in await world.census()


async def test_stopped_walk_goes_on_where_it_was(world: World, raw: Any) -> None:
    await filled(world)
    block = raw["blocks"].find_one({})
    raw["blocks"].insert_many([block | {"_id": f"u-alice|u-{number:03}"} for number in range(450)])
    world.secrets = world.secrets.rotated(["storage"], NOW)
    async with world.opened() as store:
        async with aclosing(store.reencryption.walk()) as walk:
            place = await anext(each async for each in walk if each.collection == "blocks")
        stopped = await store.reencryption.stopped_at()
        assert stopped == Place("blocks", place.after)
        seen = [place async for place in store.reencryption.walk(stopped)]
        assert [each.collection for each in seen] == ["blocks", "blocks", "conversations"]
        assert sum(each.documents for each in seen[1:2]) == 251
        assert await store.reencryption.stopped_at() is None, "it is done"


async def test_walk_of_an_older_ring_is_begun_again(world: World) -> None:
    await filled(world)
    async with world.opened() as store, aclosing(store.reencryption.walk()) as walk:
        await anext(walk)
    world.secrets = world.secrets.rotated(["storage"], NOW)
    async with world.opened() as store:
        assert await store.reencryption.stopped_at() is None


async def test_what_does_not_open_is_named_and_left(world: World, raw: Any) -> None:
    await as_before(world, raw)
    raw["devices"].update_one({}, {"$set": {"name": b"\x01\x02s0 damaged"}})
    place = await world.walked()
    assert place.broken == ("devices/u-alice|PHONEPHONE",)
    assert raw["devices"].find_one({})["name"] == b"\x01\x02s0 damaged"
