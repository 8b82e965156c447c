"""Erasures, and entries whose time is over, on a real store with both drivers."""

import asyncio

import msgspec
import pytest

from storage.account_rows import Erasure, User
from storage.mailbox_rows import Expiring, MailboxDocument
from storage.mongo import MongoStore
from storage.records import MessageRecord, SentRecord, decode_record, encode_record
from storage.redis.store import RedisStore

ALICE = User("u-alice", "alice", "hash", "Alice", 1)


def asked(due_at_ms: int) -> Erasure:
    return Erasure("u-alice", "alice", "asked", 1, due_at_ms)


def expiring(seq: int, at_ms: int, user: str = "bob") -> MailboxDocument:
    record = MessageRecord(
        user,
        f"id{seq}",
        "alice",
        "alice",
        "A",
        0,
        0,
        "s",
        {"P": b"secret", "Q": b"secret"},
        expires_at_ms=at_ms,
    )
    return MailboxDocument(
        user, seq, seq - 1, "m", "alice", "A", f"id{seq}", 0, encode_record(record), "", seq, seq, at_ms
    )


async def test_an_account_is_kept_or_erased_and_never_both(store: MongoStore) -> None:
    """Whoever comes first wins, and the other is told."""
    erasures = store.erasures
    for _ in range(5):
        await erasures.ask(asked(10))
        began, kept = await asyncio.gather(erasures.begin("u-alice", 10), erasures.cancel("u-alice"))
        assert began is not kept
        if began:
            assert not await erasures.cancel("u-alice")
            await erasures._rows.delete({"_id": "u-alice"})


async def test_asking_again_only_brings_it_forward(store: MongoStore) -> None:
    assert (await store.erasures.ask(asked(100))).due_at_ms == 100
    assert (await store.erasures.ask(asked(200))).due_at_ms == 100
    assert (await store.erasures.ask(asked(50))).due_at_ms == 50
    assert not await store.erasures.begin("u-alice", 49)
    assert await store.erasures.begin("u-alice", 50)
    assert await store.erasures.begin("u-alice", 0), "who finds it begun goes on with it"
    assert [each.state for each in await store.erasures.pending()] == ["erasing"]


async def test_a_name_is_taken_from_the_beginning_and_not_kept_in_clear(store: MongoStore) -> None:
    erasures = store.erasures
    await store.accounts.add_user(ALICE)
    await erasures.ask(asked(0))
    assert not await erasures.is_reserved("alice")
    await erasures.begin("u-alice", 0)
    assert await erasures.is_reserved("alice")
    assert await erasures.erase("u-alice", 0) == 2, "the account, and its data key"
    assert await erasures.erase("u-alice", 0) == 0, "there was nothing left"
    await erasures.finish("u-alice", 2**40)
    assert await erasures.is_reserved("alice")
    assert not await erasures.is_reserved("bob")
    assert await erasures.erased(["u-alice", "u-bob"]) == {"u-alice"}
    assert await erasures.pending() == []
    [row] = await erasures._rows.many({})
    assert "alice" not in str({name: value for name, value in row.items() if name != "_id"})


async def test_a_long_mailbox_is_erased_and_others_are_not(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.mongo.erasures._AT_ONCE", 7)
    for seq in range(1, 31):
        await store.mailboxes.insert([expiring(seq, 5, "u-alice")])
    await store.mailboxes.insert([expiring(7, 5)])
    assert await store.erasures.erase("u-alice", 0) == 30
    assert await store.mailboxes.latest("u-alice", 2**53, 1) == []
    assert len(await store.mailboxes.latest("bob", 2**53, 1)) == 1


async def test_users_are_walked_in_the_order_of_their_names(store: MongoStore) -> None:
    for name in ("dave", "alice", "carol", "bob"):
        await store.accounts.add_user(msgspec.structs.replace(ALICE, user_id=f"u-{name}", username=name))
    found: list[str] = []
    while page := await store.retention.users_after(found[-1] if found else "", 3):
        assert all(user == f"u-{name}" for name, user in page)
        found += [name for name, _ in page]
    assert found == ["alice", "bob", "carol", "dave"]
    assert await store.retention.position("host-0") == ""
    await store.retention.put_position("host-0", "bob")
    assert await store.retention.position("host-0") == "bob"
    assert await store.retention.position("host-1") == ""


async def test_an_expired_entry_loses_its_content_in_every_bucket_and_keeps_its_place(
    store: MongoStore,
) -> None:
    entries = [expiring(1, 0), expiring(2, 50), expiring(3, 90)]
    await store.mailboxes.insert(entries)
    await store.mailboxes.insert(entries[1:])  # a replay cut elsewhere
    await store.retention.note(entries[1:])
    await store.retention.note(entries[1:])
    due = await store.retention.expired(50, 10)
    assert due == [Expiring("bob", 2, 50)]
    for _ in range(2):
        await store.retention.empty("bob", 2)
    await store.retention.forget(due)
    assert await store.retention.expired(50, 10) == []
    assert await store.retention.expired(90, 10) == [Expiring("bob", 3, 90)]

    first, second, third = await store.mailboxes.range("bob", 0, 2**53 - 1, 10)
    assert (first, third) == (entries[0], entries[2])
    emptied = decode_record(second.record)
    assert isinstance(emptied, MessageRecord)
    assert emptied.payloads == {"P": b"", "Q": b""}
    assert msgspec.structs.replace(second, record=b"") == msgspec.structs.replace(entries[1], record=b"")
    for bucket in await store.mailboxes._mailbox.many({"u": "bob", "s": {"$gt": 0}}):
        assert bucket["e"].count(b"secret") == 2 * (1 + bucket["_id"].count("|00000000000001|"))


async def test_a_copy_that_expired_names_no_one_and_says_nothing(store: MongoStore) -> None:
    copies = {"Q": b"secret"}
    record = SentRecord("bob", "id", "P", "u-carol", "carol", 7, 0, 0, expires_at_ms=5, payloads=copies)
    entry = MailboxDocument("bob", 1, 0, "s", "", "", "id", 0, encode_record(record), expires_at_ms=5)
    await store.mailboxes.insert([entry])
    await store.retention.empty("bob", 1)
    [found] = await store.mailboxes.range("bob", 0, 9, 1)
    assert b"carol" not in found.record
    assert b"secret" not in found.record


async def test_redis_forgets_a_user(cache: RedisStore) -> None:
    await cache.put_presence({"u-alice": (True, 1), "u-bob": (True, 1)})
    await cache.put_snapshots({"u-alice": b"a", "u-bob": b"b"})
    await cache.claim_wakeup("PHONE", 60, 1)
    await cache.forget_user("u-alice", ["PHONE"])
    assert await cache.take_snapshots(["u-alice", "u-bob"]) == {"u-bob": b"b"}
    assert await cache.clear_wakeups(["PHONE"]) == []
