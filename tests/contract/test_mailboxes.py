import asyncio
import itertools
from collections.abc import Iterable

import msgspec
import pytest

from storage.mongo import MongoStore
from storage.mongo.mailboxes import _windows
from storage.records import Conversation, Cursor, MailboxDocument

ALL = 2**53


def entry(
    seq: int, *, user: str = "bob", sender: str = "alice", kind: str = "m", cause: str = ""
) -> MailboxDocument:
    device = f"{sender.upper()}DEVICE"
    return MailboxDocument(
        user, seq, 0, kind, sender, device, cause or f"id-{seq}", seq * 10, b"record %d" % seq
    )


def seqs(found: Iterable[MailboxDocument]) -> list[int]:
    return [each.seq for each in found]


async def test_entry_comes_back_as_it_was_inserted(store: MongoStore) -> None:
    older = entry(5)
    newer = msgspec.structs.replace(entry(9), newest="id-99", prev=5)
    await store.insert([newer, older])
    assert await store.range("bob", 0, ALL, 10) == [older, newer]


async def test_replay_changes_nothing(store: MongoStore) -> None:
    first = [entry(seq) for seq in (1, 2, 3)]
    await store.insert(first)
    replayed = [msgspec.structs.replace(each, record=b"other") for each in first]
    await store.insert([*replayed, entry(4)])
    assert await store.range("bob", 0, ALL, 10) == [*first, entry(4)]
    await store.insert([])


async def test_two_hosts_insert_the_same_at_once(store: MongoStore) -> None:
    batch = [entry(seq) for seq in range(1, 101)]
    await asyncio.gather(*(store.insert(batch) for _ in range(4)))
    assert await store.range("bob", 0, ALL, 1000) == batch


async def test_bounds(store: MongoStore) -> None:
    await store.insert([entry(seq) for seq in (1, 2, 3, 4, 5)] + [entry(3, user="eve")])
    assert seqs(await store.range("bob", 1, 4, 10)) == [2, 3, 4]
    assert seqs(await store.range("bob", 1, 4, 2)) == [2, 3]
    assert seqs(await store.range("bob", 4, 4, 2)) == []
    assert seqs(await store.latest("bob", 4, 10)) == [3, 2, 1]
    assert seqs(await store.latest("bob", 4, 1)) == [3]
    assert seqs(await store.latest("bob", 1, 1)) == []
    assert await store.exists("bob", 3)
    assert not await store.exists("bob", 6)


@pytest.mark.parametrize("base", [0, 2**32, 2**52])
async def test_entries_far_apart_are_all_found(store: MongoStore, base: int) -> None:
    far = [base + at for at in (1, 2, 4096, 4097, 70_000, 2**31)]
    await store.insert([entry(seq) for seq in far])
    assert seqs(await store.range("bob", 0, ALL, 100)) == far
    assert seqs(await store.latest("bob", ALL, 100)) == far[::-1]
    assert seqs(await store.latest("bob", far[-1], 2)) == [far[-2], far[-3]]
    paged: list[int] = []
    while more := await store.range("bob", paged[-1] if paged else 0, ALL, 1):
        paged += seqs(more)
    assert paged == far


async def test_newest_are_found_by_a_store_that_has_seen_nothing(
    store: MongoStore, mongo_url: str, database: str
) -> None:
    await store.insert([entry(seq) for seq in (7, 2**40, 2**50)])
    other = MongoStore(mongo_url, database, "pymongo", store._ring)
    assert seqs(await other.latest("bob", ALL, 2)) == [2**50, 2**40]
    await store.insert([entry(2**52)])
    assert seqs(await other.latest("bob", ALL, 2)) == [2**52, 2**50]
    await other.close()


def test_windows_cover_the_range_once() -> None:
    windows = list(_windows(10, 10_000_000, 5))
    assert windows[0][0] == 10
    assert windows[-1][1] == 10_000_000
    assert all(before[1] == after[0] for before, after in itertools.pairwise(windows))


async def test_questions_about_senders(store: MongoStore) -> None:
    await store.insert(
        [
            entry(1),
            entry(2, sender="eve", cause="id-1"),
            entry(3, cause="id-1"),
            entry(4, kind="k", sender=""),
            entry(5),
        ]
    )
    assert seqs(await store.history("bob", "alice", ALL, 10)) == [5, 3, 1]
    assert seqs(await store.history("bob", "alice", 5, 1)) == [3]
    last = await store.latest_from("bob", "alice", "ALICEDEVICE", 5)
    assert last == entry(3, cause="id-1")
    assert await store.latest_from("bob", "alice", "OTHERDEVICE", ALL) is None
    assert await store.summary("bob", 10) == {"alice": [(5, 50), (3, 30), (1, 10)], "eve": [(2, 20)]}
    assert await store.summary("bob", 2) == {"alice": [(5, 50), (3, 30)]}
    found = await store.find_causes("bob", ["id-1", "id-5", "id-6"], 5)
    assert {key: each.seq for key, each in found.items()} == {
        ("ALICEDEVICE", "id-1"): 1,
        ("EVEDEVICE", "id-1"): 2,
    }


async def test_sweep(store: MongoStore) -> None:
    await store.insert([entry(seq) for seq in range(1, 6)] + [entry(1, user="eve")])
    assert await store.sweep("bob", 4) == 3
    assert await store.sweep("bob", 4) == 0
    assert seqs(await store.range("bob", 0, ALL, 10)) == [4, 5]
    assert seqs(await store.range("eve", 0, ALL, 10)) == [1]


async def test_watermarks_never_fall(store: MongoStore) -> None:
    row = Conversation("alice", "bob", "bob", 10, 8, 100, 90, 50, 3)
    stale = Conversation("alice", "bob", "bob", 9, 9, 95, 95, 40, 0)
    await store.put_conversations([row])
    await store.put_conversations([stale])
    merged = Conversation("alice", "bob", "bob", 10, 9, 100, 95, 50, 3)
    assert await store.conversations("alice") == [merged]
    assert await store.conversations_of(["alice", "bob"]) == {"alice": [merged], "bob": []}
    await store.put_conversations([])


async def test_first_writers_of_a_row_meet(store: MongoStore) -> None:
    rows = [Conversation("alice", "bob", "bob", delivered_seq=seq) for seq in range(20)]
    await asyncio.gather(*(store.put_conversations([row]) for row in rows))
    assert [row.delivered_seq for row in await store.conversations("alice")] == [19]


async def test_rows_of_the_releases_around_this_one_are_read(store: MongoStore) -> None:
    numbers = list(range(1, len(Conversation.__struct_fields__) - 2))
    for written in (numbers[:-2], [*numbers, 99]):
        sheet = {"_id": f"alice|{len(written)}", "u": "alice", "r": [["bob", "bob", *written]]}
        await store._conversations.insert_missing([sheet])
    assert await store.conversations("alice") == [Conversation("alice", "bob", "bob", *numbers)]


async def test_receipts_after(store: MongoStore) -> None:
    rows = [Conversation("alice", f"p{seq}", "p", receipt_seq=seq) for seq in (30, 10, 20, 0)]
    await store.put_conversations(rows)
    assert [row.receipt_seq for row in await store.receipts_after("alice", 10, 30)] == [20, 30]
    assert await store.receipts_after("bob", 0, ALL) == []


async def test_cursors_never_fall(store: MongoStore) -> None:
    await store.put_cursors([Cursor("alice", "PHONEPHONE", 10), Cursor("alice", "LAPTOPLAPTOP", 4)])
    await store.put_cursors([Cursor("alice", "PHONEPHONE", 9), Cursor("bob", "PHONEPHONE", 1)])
    await store.put_cursors([Cursor("bob", "PHONEPHONE", 3), Cursor("bob", "PHONEPHONE", 2)])
    cursors = {"alice": {"PHONEPHONE": 10, "LAPTOPLAPTOP": 4}, "bob": {"PHONEPHONE": 3}, "eve": {}}
    assert await store.cursors_of(["alice", "bob", "eve"]) == cursors
    await store.remove_device("alice", "PHONEPHONE")
    assert await store.cursors_of(["alice"]) == {"alice": {"LAPTOPLAPTOP": 4}}
