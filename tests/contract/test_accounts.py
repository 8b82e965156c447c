import asyncio
import secrets
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from pymongo import MongoClient

from roost.errors import Unavailable
from sim.faults.proxy import Proxy
from storage.account_rows import NO_FLOOR, Device, TokenFamily, User
from storage.keyring import KeyRing, SealBroken
from storage.mailbox_rows import Block
from storage.mongo import MongoStore
from storage.mongo.driver import Driver

ALICE = User("u-alice", "alice", "hash", "Alice", 1, phone="+4670111222", email="alice@example.org")
PHONE = Device("u-alice", "PHONEPHONE", "Alice's phone", 5, push_provider="fcm", push_token="push-secret")
SESSION = TokenFamily("fam", "u-alice", "PHONEPHONE", b"t0", None, 1, 1, 4_000_000_000_000)
MOVED = SESSION.expires_at_ms + 100


def raw(mongo_url: str, database: str, collection: str) -> list[dict[str, Any]]:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        return list(client[database][collection].find())


async def test_account_comes_back_as_it_was_added(store: MongoStore) -> None:
    assert await store.accounts.add_user(ALICE)
    assert await store.accounts.user_by_name("alice") == ALICE
    assert await store.accounts.user_by_name("alic") is None
    assert await store.accounts.users_by_id(["u-alice", "u-nobody"]) == {"u-alice": ALICE}


async def test_username_is_given_once(store: MongoStore) -> None:
    rivals = [msgspec.structs.replace(ALICE, user_id=f"u-{n}") for n in range(20)]
    won = await asyncio.gather(*(store.accounts.add_user(rival) for rival in rivals))
    assert sum(won) == 1
    found = await store.accounts.user_by_name("alice")
    assert found == rivals[won.index(True)]
    assert await store.accounts.add_user(found), "the same account again is a repeat, not a rival"


async def test_profile(store: MongoStore) -> None:
    await store.accounts.add_user(ALICE)
    changed = await store.accounts.update_profile("u-alice", {"last_seen": "nobody", "read_receipts": False})
    assert changed == msgspec.structs.replace(ALICE, last_seen="nobody", read_receipts=False)
    assert await store.accounts.update_profile("u-nobody", {"display_name": "x"}) is None
    with pytest.raises(ValueError, match="password_hash"):
        await store.accounts.update_profile("u-alice", {"password_hash": "x"})
    await store.accounts.touch_users({"u-alice": 9, "u-nobody": 9})
    await store.accounts.touch_users({"u-alice": 4})
    found = (await store.accounts.users_by_id(["u-alice", "u-nobody"])).values()
    assert [user.last_seen_ms for user in found] == [9]


async def test_devices(store: MongoStore) -> None:
    older = Device("u-alice", "LAPTOPLAPTOP", "Laptop", 2)
    await store.accounts.add_device(PHONE)
    await store.accounts.add_device(older)
    await store.accounts.add_device(msgspec.structs.replace(PHONE, name="again"))
    assert await store.accounts.devices_of(["u-alice", "u-bob"]) == {"u-alice": [older, PHONE], "u-bob": []}
    assert await store.accounts.remove_device("u-alice", "PHONEPHONE")
    assert not await store.accounts.remove_device("u-alice", "PHONEPHONE")
    assert await store.accounts.devices_of(["u-alice"]) == {"u-alice": [older]}


async def test_a_floor_only_rises_and_needs_its_device(store: MongoStore) -> None:
    await store.accounts.add_device(msgspec.structs.replace(PHONE, floor=NO_FLOOR))
    for seq, floor in ((0, 0), (7, 7), (5, 7)):
        await store.accounts.raise_floors({("u-alice", "PHONEPHONE"): seq, ("u-alice", "OTHEROTHER"): 9})
        assert [each.floor for each in (await store.accounts.devices_of(["u-alice"]))["u-alice"]] == [floor]


@pytest.mark.attack("use one refresh token in many requests at once", "compare-and-set: one rotation wins")
async def test_of_concurrent_rotations_one_wins(store: MongoStore) -> None:
    await store.sessions.add(SESSION)
    following = [b"t1-%d" % n for n in range(20)]
    won = await asyncio.gather(*(store.sessions.rotate(SESSION, each, 7, MOVED) for each in following))
    assert sum(won) == 1
    found = await store.sessions.get("fam")
    assert found is not None
    assert (found.current, found.previous) == (following[won.index(True)], b"t0")
    assert (found.used_at_ms, found.expires_at_ms) == (7, MOVED)


@pytest.mark.attack("refresh a session in the moment of its end", "the end wins in the store")
async def test_ended_session_cannot_be_rotated(store: MongoStore) -> None:
    await store.sessions.add(SESSION)
    await store.sessions.add(msgspec.structs.replace(SESSION, family="other", device="LAPTOPLAPTOP"))
    assert await store.sessions.end("u-alice", "PHONEPHONE", 50) == ["fam"]
    assert await store.sessions.end("u-alice", "PHONEPHONE", 60) == []
    assert not await store.sessions.rotate(SESSION, b"t1", 70, MOVED)
    assert await store.sessions.ended_since(50) == ["fam"]
    assert await store.sessions.ended_since(51) == []
    assert await store.sessions.end("u-alice", None, 80) == ["other"]
    assert await store.sessions.get("no-such") is None


async def test_blocks(store: MongoStore) -> None:
    block = Block("u-alice", "u-bob", "bob", 10)
    await store.accounts.set_block(block)
    assert await store.accounts.blocks_of(["u-alice", "u-bob"]) == {"u-alice": [block], "u-bob": []}
    lifted = msgspec.structs.replace(block, until_seq=20, revision=2)
    await store.accounts.set_block(lifted)
    assert await store.accounts.blocks_of(["u-alice"]) == {"u-alice": [lifted]}
    await store.accounts.set_block(block)  # from a host that had lost the user
    assert await store.accounts.blocks_of(["u-alice"]) == {"u-alice": [lifted]}


@pytest.mark.attack("read phone, e-mail, push token or device name in a stolen database", "they are sealed")
async def test_sealed_fields_hold_no_plaintext(store: MongoStore, mongo_url: str, database: str) -> None:
    await store.accounts.add_user(ALICE)
    await store.accounts.add_device(PHONE)
    stored = str(raw(mongo_url, database, "users") + raw(mongo_url, database, "devices"))
    assert "u-alice" in stored
    for secret in ("4670111222", "alice@example.org", "Alice's phone", "push-secret"):
        assert secret not in stored


@pytest.mark.attack(
    "have a sealed value accepted in the store that was altered, moved, or is none",
    "the tag over value and place",
)
@pytest.mark.parametrize("damage", ["flipped", "moved", "not sealed"])
async def test_damaged_sealed_value_is_refused(
    store: MongoStore, mongo_url: str, database: str, damage: str
) -> None:
    bob = User("u-bob", "bob", "hash", "Bob", 1, phone="+1555")
    await store.accounts.add_user(ALICE)
    await store.accounts.add_user(bob)
    rows = {row["_id"]: row["phone"] for row in raw(mongo_url, database, "users")}
    sealed = rows["u-bob"]
    value = {
        "flipped": sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "moved": rows["u-alice"],
        "not sealed": b"+1555",
    }[damage]
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[database]["users"].update_one({"_id": "u-bob"}, {"$set": {"phone": value}})
    with pytest.raises(SealBroken):
        await store.accounts.user_by_name("bob")
    assert await store.accounts.user_by_name("alice") == ALICE


async def test_lost_reply_of_a_rotation(
    mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> None:
    target = urlsplit(mongo_url).netloc
    async with Proxy(target) as proxy:
        store = MongoStore(mongo_url.replace(target, proxy.address), database, driver_name, keyring)
        await store.sessions.add(SESSION)
        with proxy.lost_reply(), pytest.raises(Unavailable):
            await store.sessions.rotate(SESSION, b"t1", 7, MOVED)
        assert proxy.lost
        found = await store.sessions.get("fam")
        assert found is not None
        assert found.current == b"t1", "it took effect: only its reply was lost"
        assert not await store.sessions.rotate(SESSION, b"t1", 8, MOVED)
        await store.close()


async def test_server_that_is_not_there_is_unavailable(keyring: KeyRing, driver_name: Driver) -> None:
    nowhere = MongoStore("mongodb://127.0.0.1:1", secrets.token_hex(4), driver_name, keyring)
    with pytest.raises(Unavailable):
        await nowhere.ping()
    await nowhere.close()


async def test_a_password_hash_is_replaced_only_if_it_is_still_the_one(store: MongoStore) -> None:
    await store.accounts.add_user(ALICE)
    assert await store.accounts.set_password_hash("u-alice", "new", "hash")
    assert not await store.accounts.set_password_hash("u-alice", "late", "hash")
    found = await store.accounts.user_by_name("alice")
    assert found is not None
    assert found.password_hash == "new"


async def test_scopes(store: MongoStore) -> None:
    await store.accounts.add_user(ALICE)
    for _ in range(2):
        user = await store.accounts.set_scope("u-alice", "admin", granted=True)
        assert user is not None
        assert user.scopes == ("admin",)
    await store.accounts.set_scope("u-alice", "observer", granted=True)
    user = await store.accounts.set_scope("u-alice", "admin", granted=False)
    assert user is not None
    assert user.scopes == ("observer",)
    assert await store.accounts.set_scope("u-nobody", "admin", granted=True) is None


async def test_repeats_in_a_row_are_counted(store: MongoStore) -> None:
    sessions = store.sessions
    await sessions.add(SESSION)
    for row in (1, 2):
        session = await sessions.get("fam")
        assert session is not None
        assert await sessions.rotate(session, b"n%d" % row, 7, MOVED)
        for _ in range(2):  # once for each rotation
            await sessions.repeat("fam", b"n%d" % row)
        await sessions.repeat("fam", b"another")
        session = await sessions.get("fam")
        assert session is not None
        assert (session.repeated, session.repeats) == (True, row)
    for expected in (2, 0):  # a rotation without one begins again
        assert await sessions.rotate(session, b"m%d" % expected, 8, MOVED)
        session = await sessions.get("fam")
        assert session is not None
        assert (session.repeated, session.repeats) == (False, expected)


async def test_ended_but_one(store: MongoStore) -> None:
    for family in ("fam", "fam2", "fam3"):
        await store.sessions.add(msgspec.structs.replace(SESSION, family=family))
    assert sorted(await store.sessions.end("u-alice", None, 50, "fam2")) == ["fam", "fam3"]
    assert await store.sessions.end("u-alice", "PHONEPHONE", 60, "fam2") == []
    assert await store.sessions.end("u-alice", None, 60) == ["fam2"]


async def test_a_device_keeps_the_signing_key_that_it_named(store: MongoStore) -> None:
    await store.accounts.add_device(PHONE)
    assert not await store.accounts.set_signing_key("u-alice", "NOSUCH", b"k" * 32)
    for key, taken in ((b"k" * 32, True), (b"x" * 32, False), (b"k" * 32, True)):
        assert await store.accounts.set_signing_key("u-alice", "PHONEPHONE", key) is taken
    keys = {"keys": {"ed25519:PHONEPHONE": "k"}}
    assert await store.keys.put_device_keys("u-alice", "PHONEPHONE", keys, b"x" * 32) == "conflict"
    assert await store.keys.put_device_keys("u-alice", "PHONEPHONE", keys, b"k" * 32) == "added"
    assert not await store.accounts.set_signing_key("u-alice", "PHONEPHONE", b"k" * 32), "its keys say it now"


async def test_signed_out_devices(store: MongoStore) -> None:
    for device in ("ONE", "TWO", "THREE"):
        await store.accounts.add_device(msgspec.structs.replace(PHONE, device=device))

    async def signed_out() -> set[str]:
        devices = (await store.accounts.devices_of(["u-alice"]))["u-alice"]
        return {each.device for each in devices if each.signed_out}

    await store.accounts.sign_out("u-alice", "ONE", None)
    assert await signed_out() == {"ONE"}
    await store.accounts.sign_out("u-alice", None, "TWO")
    assert await signed_out() == {"ONE", "THREE"}
    await store.accounts.sign_in("u-alice", "ONE")
    assert await signed_out() == {"THREE"}
