"""Sealing at rest, as the bytes in MongoDB show it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from pymongo import MongoClient

from storage.account_rows import Device, PushToken, User
from storage.keyring import KeyRing, SealBroken
from storage.keyring.data_key import COLLECTION
from storage.mailbox_rows import Block, Conversation
from storage.mongo import MongoStore
from storage.mongo.data_keys import MongoDataKeys
from storage.mongo.driver import Driver

ALICE = User(
    "u-alice", "alice", "argon2-hash", "Alice Liddell", 1, phone="+4670111222", email="a@example.org"
)
BOB = User("u-bob", "bob", "other-hash", "Bob", 1, phone="+4670111333")
PHONE = Device("u-alice", "PHONEPHONE", "Alice's phone", 5, push_provider="fcm", push_token="push-secret")
BLOCK = Block("u-alice", "u-mallory", "mallory.of.moria", 10)
ROW = Conversation("u-alice", "u-bob", "bob.the.builder", delivered_seq=7)
SECRETS = (
    "argon2-hash",
    "Liddell",
    "4670111222",
    "a@example.org",
    "Alice's",
    "push-secret",
    "mallory.of",
    "builder",
)


@pytest.fixture
def driver_name() -> Driver:
    """One of them: what differs between the two is tested elsewhere."""
    return "pymongo"


@pytest.fixture
def raw(mongo_url: str, database: str) -> Iterator[Any]:
    """The database, as somebody sees it who has stolen it."""
    with MongoClient[dict[str, Any]](mongo_url) as client:
        yield client[database]


async def filled(store: MongoStore) -> None:
    assert await store.accounts.add_user(ALICE)
    await store.accounts.add_device(PHONE)
    await store.accounts.set_block(BLOCK)
    await store.conversations.put([ROW])


def everything(raw: Any) -> str:
    return str([list(raw[name].find()) for name in raw.list_collection_names()])


@pytest.mark.attack("stolen database read for names, numbers, tokens and hashes")
async def test_nothing_that_identifies_a_person_is_readable(store: MongoStore, raw: Any) -> None:
    await filled(store)
    await store.accounts.update_profile("u-alice", {"display_name": "Alice P. Liddell"})
    await store.accounts.set_password_hash("u-alice", "newer argon2-hash", "argon2-hash")
    await store.push_tokens.register("u-alice", "PHONEPHONE", PushToken("fcm", "newer push-secret"), "s-1", 1)
    stored = everything(raw)
    assert "u-alice" in stored
    assert [secret for secret in SECRETS if secret in stored] == []
    [alice] = (await store.accounts.users_by_id(["u-alice"])).values()
    assert (alice.display_name, alice.password_hash) == ("Alice P. Liddell", "newer argon2-hash")
    assert await store.accounts.blocks_of(["u-alice"]) == {"u-alice": [BLOCK]}
    assert await store.conversations.of_user("u-alice") == [ROW]


async def test_what_is_read_without_its_seals_has_no_secret(store: MongoStore, raw: Any) -> None:
    await filled(store)
    raw[COLLECTION].delete_many({})  # it does not even need the key
    accounts = store.accounts
    found = [
        await accounts.user_by_name("alice", opened=False),
        *(await accounts.users_by_id(["u-alice"], opened=False)).values(),
        *(await accounts.devices_of(["u-alice"], opened=False))["u-alice"],
    ]
    assert len(found) == 3
    assert [secret for secret in SECRETS if secret in str(found)] == []
    assert isinstance(found[2], Device)
    assert found[2].push_token is not None, "that there is one may be known"


async def test_erased_key_erases_the_user_wherever_copies_are(
    store: MongoStore, raw: Any, mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> None:
    await filled(store)
    assert await store.accounts.add_user(BOB)
    raw[COLLECTION].delete_one({"_id": "u-alice"})
    # Another process, or this one after some minutes: what is in memory goes with it.
    another = MongoStore(mongo_url, database, driver_name, keyring)
    users = ["u-alice", "u-bob"]
    assert await another.accounts.users_by_id(users) == {"u-bob": BOB}, "others are read as ever"
    assert await another.accounts.user_by_name("alice") is None
    assert await another.accounts.devices_of(users) == {"u-alice": [], "u-bob": []}
    assert await another.accounts.blocks_of(users) == {"u-alice": [], "u-bob": []}
    assert await another.conversations.of_users(users) == {"u-alice": [], "u-bob": []}
    await another.close()


@pytest.mark.attack("data keys of two users swapped in the store")
async def test_swapped_data_keys(
    store: MongoStore, raw: Any, mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> None:
    await filled(store)
    assert await store.accounts.add_user(BOB)
    rows = {row["_id"]: row["key"] for row in raw[COLLECTION].find()}
    raw[COLLECTION].update_one({"_id": "u-bob"}, {"$set": {"key": rows["u-alice"]}})
    another = MongoStore(mongo_url, database, driver_name, keyring)
    with pytest.raises(SealBroken):
        await another.accounts.user_by_name("bob")
    assert await another.accounts.user_by_name("alice") == ALICE
    await another.close()


@pytest.mark.attack("names of peers moved to rows of other peers")
async def test_names_of_peers_stay_with_their_rows(store: MongoStore, raw: Any) -> None:
    await store.conversations.put([ROW])
    await store.conversations.put([msgspec.structs.replace(ROW, peer="u-eve", peer_name="eve")])
    first, second = raw["conversations"].find()
    raw["conversations"].update_one({"_id": first["_id"]}, {"$set": {"n": second["n"]}})
    with pytest.raises(SealBroken, match="altered or moved"):
        await store.conversations.of_user("u-alice")


@pytest.mark.attack("password hash replaced by one in the clear")
async def test_unsealed_password_hash_is_refused(store: MongoStore, raw: Any) -> None:
    await filled(store)
    raw["users"].update_one({"_id": "u-alice"}, {"$set": {"password_hash": "hash of a password of mine"}})
    with pytest.raises(SealBroken, match="not a sealed one"):
        await store.accounts.user_by_name("alice")


async def test_of_many_makers_of_a_key_one_wins(
    store: MongoStore, mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> None:
    others = [MongoStore(mongo_url, database, driver_name, keyring) for _ in range(4)]
    devices = [Device("u-alice", f"DEVICE{n}", f"device {n}", n) for n in range(len(others))]
    await asyncio.gather(
        *(other.accounts.add_device(each) for other, each in zip(others, devices, strict=True))
    )
    assert (await store.accounts.devices_of(["u-alice"]))["u-alice"] == devices
    for other in others:
        await other.close()


async def test_taken_username_leaves_no_key(store: MongoStore, raw: Any) -> None:
    await filled(store)
    assert not await store.accounts.add_user(msgspec.structs.replace(BOB, username="alice"))
    assert [row["_id"] for row in raw[COLLECTION].find()] == ["u-alice"]


async def test_many_keys_are_one_read_and_few_are_kept(store: MongoStore, keyring: KeyRing) -> None:
    users = [f"u-{number}" for number in range(30)]
    keys = MongoDataKeys(store._database, keyring, kept=10)
    reads = 0
    many = keys._rows.many

    async def counted(*args: Any) -> Any:
        nonlocal reads
        reads += 1
        return await many(*args)

    keys._rows.many = counted  # type: ignore[method-assign]
    made = await keys.made(users)
    assert all(key.present for key in made.values())
    assert (reads, len(keys._kept)) == (2, 10)
    await keys.of_all(users[-10:])
    assert reads == 2, "they are in memory"


async def test_newest_ring_that_was_used_is_known(store: MongoStore) -> None:
    seen = store.ring_serial.seen
    assert [await seen("one", 3), await seen("one", 2), await seen("other", 1)] == [3, 3, 1]


async def test_account_is_found_by_its_number(store: MongoStore) -> None:
    await filled(store)
    await store.accounts.add_user(BOB)
    assert ALICE.phone is not None
    assert await store.accounts.ids_by_contact("phone", ALICE.phone) == ["u-alice"]
    assert await store.accounts.ids_by_contact("email", ALICE.phone) == []
    with pytest.raises(ValueError, match="no index"):
        await store.accounts.ids_by_contact("username", "alice")
