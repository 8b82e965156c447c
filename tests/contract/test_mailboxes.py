import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from roost.ids import uuid7
from storage.keyring import KeyRing
from storage.mailbox_rows import Conversation, Cursor, MailboxDocument, Stub
from storage.mongo import MongoStore, places
from storage.mongo.buckets import SPAN, buckets
from storage.mongo.driver import Driver
from storage.mongo.sheets import Sheets
from storage.records import SentRecord, encode_record

ALL = 2**53


def made(ms: int) -> str:
    """Return the id of a message that was made at this time."""
    return uuid7(ms, bytes(10))


def entry(
    seq: int, *, user: str = "bob", sender: str = "alice", kind: str = "m", cause: str = ""
) -> MailboxDocument:
    device = f"{sender.upper()}DEVICE"
    return MailboxDocument(
        user, seq, 0, kind, sender, device, cause or made(seq % 2**40), seq * 10, b"record %d" % seq
    )


def mailbox(*numbers: int, user: str = "bob") -> list[MailboxDocument]:
    """Return the entries of one mailbox, each of which names the one before it."""
    pairs = itertools.pairwise((0, *numbers))
    return [msgspec.structs.replace(entry(seq, user=user), prev=prev) for prev, seq in pairs]


def seqs(found: Iterable[MailboxDocument]) -> list[int]:
    return [each.seq for each in found]


async def test_entry_comes_back_as_it_was_inserted(store: MongoStore) -> None:
    older = entry(5)
    newer = msgspec.structs.replace(entry(9), newest=made(99), prev=5)
    await store.mailboxes.insert([newer, older])
    assert await store.mailboxes.range("bob", 0, ALL, 10) == [older, newer]


async def test_replay_changes_nothing(store: MongoStore) -> None:
    first = [entry(seq) for seq in (1, 2, 3)]
    await store.mailboxes.insert(first)
    replayed = [msgspec.structs.replace(each, record=b"other") for each in first]
    await store.mailboxes.insert(replayed)
    await store.mailboxes.insert([entry(4)])
    assert await store.mailboxes.range("bob", 0, ALL, 10) == [*first, entry(4)]
    await store.mailboxes.insert([])


async def test_two_hosts_insert_the_same_at_once(store: MongoStore) -> None:
    batch = [entry(seq) for seq in range(1, 101)]
    await asyncio.gather(*(store.mailboxes.insert(batch) for _ in range(4)))
    assert await store.mailboxes.range("bob", 0, ALL, 1000) == batch


async def test_bounds(store: MongoStore) -> None:
    await store.mailboxes.insert([entry(seq) for seq in (1, 2, 3, 4, 5)] + [entry(3, user="eve")])
    assert seqs(await store.mailboxes.range("bob", 1, 4, 10)) == [2, 3, 4]
    assert seqs(await store.mailboxes.range("bob", 1, 4, 2)) == [2, 3]
    assert seqs(await store.mailboxes.range("bob", 4, 4, 2)) == []
    assert seqs(await store.mailboxes.latest("bob", 4, 10)) == [3, 2, 1]
    assert seqs(await store.mailboxes.latest("bob", 4, 1)) == [3]
    assert seqs(await store.mailboxes.latest("bob", 1, 1)) == []
    assert await store.mailboxes.exists("bob", 3)
    assert not await store.mailboxes.exists("bob", 6)


@pytest.mark.parametrize("base", [0, 2**32, 2**52])
async def test_entries_far_apart_are_all_found(store: MongoStore, base: int) -> None:
    far = [base + at for at in (1, 2, 4096, 4097, 70_000, 2**31)]
    await store.mailboxes.insert([entry(seq) for seq in far])
    assert seqs(await store.mailboxes.range("bob", 0, ALL, 100)) == far
    assert seqs(await store.mailboxes.latest("bob", ALL, 100)) == far[::-1]
    assert seqs(await store.mailboxes.latest("bob", far[-1], 2)) == [far[-2], far[-3]]
    paged: list[int] = []
    while more := await store.mailboxes.range("bob", paged[-1] if paged else 0, ALL, 1):
        paged += seqs(more)
    assert paged == far


async def test_newest_are_found_by_a_store_that_has_seen_nothing(
    store: MongoStore, mongo_url: str, database: str
) -> None:
    await store.mailboxes.insert([entry(seq) for seq in (7, 2**40, 2**50)])
    other = MongoStore(mongo_url, database, "pymongo", store.accounts._ring)
    assert seqs(await other.mailboxes.latest("bob", ALL, 2)) == [2**50, 2**40]
    await store.mailboxes.insert([entry(2**52)])
    assert seqs(await other.mailboxes.latest("bob", ALL, 2)) == [2**52, 2**50]
    await other.close()


async def test_a_replay_into_other_buckets_shows_each_entry_once(store: MongoStore) -> None:
    whole = mailbox(*range(1, 13))
    await store.mailboxes.insert(whole[:5])
    await store.mailboxes.insert(whole[5:9])
    await store.mailboxes.insert(whole[2:4])
    await store.mailboxes.insert(whole[3:12])
    assert await store.mailboxes.range("bob", 0, ALL, 100) == whole
    assert await store.mailboxes.latest("bob", ALL, 100) == whole[::-1]
    assert seqs(await store.mailboxes.range("bob", 4, 7, 100)) == [5, 6, 7]
    assert seqs(await store.mailboxes.latest("bob", 6, 2)) == [5, 4]
    assert await asyncio.gather(*(store.mailboxes.exists("bob", seq) for seq in range(14))) == [
        seq in range(1, 13) for seq in range(14)
    ]


async def test_buckets_that_end_alike_are_all_read(store: MongoStore) -> None:
    whole = mailbox(*range(1, 11))
    for first in (8, 6, 2, 0):
        await store.mailboxes.insert(whole[first:9])
    await store.mailboxes.insert(whole[9:])
    for limit in range(1, 12):
        assert await store.mailboxes.range("bob", 0, ALL, limit) == whole[:limit]
        assert await store.mailboxes.range("bob", 8, ALL, limit) == whole[8 : 8 + limit]
        assert await store.mailboxes.latest("bob", 10, limit) == whole[:9][: -limit - 1 : -1]
        assert await store.mailboxes.latest("bob", ALL, limit) == whole[: -limit - 1 : -1]


async def test_an_entry_in_a_bucket_that_ends_later_is_found(store: MongoStore) -> None:
    # A first life stored all of it in one bucket, and nothing was committed past 5: a second one came no
    # further than 8.
    whole = mailbox(*range(100, 100_100, 100))
    await store.mailboxes.insert(whole[:60])
    await store.mailboxes.insert(whole[4:8])
    assert seqs(await store.mailboxes.range("bob", 0, ALL, 3)) == [100, 200, 300]
    assert seqs(await store.mailboxes.range("bob", 0, 650, 100)) == [100, 200, 300, 400, 500, 600]
    assert seqs(await store.mailboxes.latest("bob", 801, 8)) == [800, 700, 600, 500, 400, 300, 200, 100]
    assert seqs(await store.mailboxes.latest("bob", 700, 4)) == [600, 500, 400, 300]


async def test_a_bucket_reaching_far_past_the_window_is_found(store: MongoStore) -> None:
    far = [100, 100 + SPAN - 1, 100 + SPAN]
    await store.mailboxes.insert(mailbox(*far))
    assert seqs(await store.mailboxes.range("bob", 0, 100, 10)) == [100]
    assert seqs(await store.mailboxes.range("bob", 0, 100 + SPAN - 2, 10)) == [100]
    assert seqs(await store.mailboxes.latest("bob", 101, 10)) == [100]
    assert await store.mailboxes.exists("bob", 100 + SPAN - 1)
    assert not await store.mailboxes.exists("bob", 101)


async def test_swept_entries_hide_none_of_the_rest(store: MongoStore) -> None:
    whole = mailbox(*range(1, 301))
    for at in range(0, 300, 20):
        await store.mailboxes.insert(whole[at : at + 20])
    await store.mailboxes.sweep("bob", 150)
    kept = seqs(await store.mailboxes.range("bob", 0, ALL, 1000))
    assert kept == list(range(141, 301))
    assert seqs(await store.mailboxes.range("bob", 0, 160, 5)) == [141, 142, 143, 144, 145]
    assert seqs(await store.mailboxes.latest("bob", 146, 100)) == [145, 144, 143, 142, 141]


async def insert_by(size: int, store: MongoStore, entries: list[MailboxDocument]) -> None:
    """Insert buckets of a size, many in one write."""
    cut = [bucket for at in range(0, len(entries), size) for bucket in buckets(entries[at : at + size])]
    for at in range(0, len(cut), 500):
        await store.mailboxes._mailbox.insert_missing(cut[at : at + 500])


@contextmanager
def counted(store: MongoStore) -> Iterator[list[int]]:
    """Note of each query of the mailbox how many buckets are in its range: so many are looked at."""
    read: list[int] = []
    many = store.mailboxes._mailbox.many

    async def counting(where: Any, **options: Any) -> list[Any]:
        read.append(len(await many(where)))
        return await many(where, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.mailboxes._mailbox, "many", counting)
        yield read


Length = tuple[int, int]
"""Where a long mailbox begins, and the size of its buckets."""


@pytest.fixture(scope="module")
def filled() -> dict[Length, str]:
    """Return which database has which long mailbox: to fill one takes the embedded store seconds."""
    return {}


@pytest.fixture
async def long_store(
    begin: int, size: int, filled: dict[Length, str], database: str, mongo_url: str,
    driver_name: Driver, keyring: KeyRing,
) -> AsyncIterator[MongoStore]:  # fmt: skip
    """Return a store with a mailbox of 5,000 entries, filled by the driver that comes to it first."""
    store = MongoStore(mongo_url, filled.get((begin, size), database), driver_name, keyring)
    if (begin, size) not in filled:
        await store.prepare()
        await insert_by(size, store, mailbox(*range(begin, begin + 5_000)))
        filled[begin, size] = database
    yield store
    await store.close()


@pytest.mark.parametrize("begin", [1, 3_000, 2**45])
@pytest.mark.parametrize("size", [1, 10])
async def test_reading_one_page_of_a_long_mailbox_is_cheap(
    long_store: MongoStore, begin: int, size: int
) -> None:
    store, whole = long_store, mailbox(*range(begin, begin + 5_000))
    middle, end = begin + 2_500, begin + 5_000
    with counted(store) as read:
        assert await store.mailboxes.range("bob", 0, end, 100) == whole[:100]
        assert await store.mailboxes.range("bob", middle, end, 100) == whole[2_501:2_601]
        assert await store.mailboxes.latest("bob", end, 100) == whole[:-101:-1]
        assert await store.mailboxes.latest("bob", middle, 100) == whole[2_499:2_399:-1]
        assert len(read) < 40
        assert sum(read) < 400 + 2_000 / size, f"of {5_000 // size} buckets: {read}"
        read.clear()
        assert await store.mailboxes.range("bob", 0, end, 100) == whole[:100]
        assert len(read) <= 2, "where it begins is remembered"
        assert sum(read) <= 400 / size + 4


async def test_a_gap_left_by_a_recreated_log_is_skipped(store: MongoStore) -> None:
    old, new = range(10, 310), range(2**33 + 40_000, 2**33 + 44_000)
    whole = mailbox(*old, *new)
    await insert_by(20, store, whole)
    with counted(store) as read:
        paged: list[int] = []
        while more := await store.mailboxes.range("bob", paged[-1] if paged else 0, ALL, 100):
            paged += seqs(more)
        assert paged == [*old, *new]
        assert sum(read) < 215 * 5, f"of 215 buckets in 43 pages: {read}"


async def test_the_first_of_a_mailbox_with_gaps_are_found(store: MongoStore) -> None:
    far = [*range(50, 60), *range(9_000, 9_010), *range(70_000, 70_050), *range(2**40, 2**40 + 100)]
    await insert_by(1, store, mailbox(*far))
    for _ in range(2):
        assert seqs(await store.mailboxes.range("bob", 0, ALL, 5)) == far[:5]
        assert seqs(await store.mailboxes.range("bob", 55, ALL, 12)) == far[6:18]
        assert seqs(await store.mailboxes.range("bob", 60, ALL, 12)) == far[10:22]
        assert seqs(await store.mailboxes.range("bob", 5_000, ALL, 200)) == far[10:]
        assert seqs(await store.mailboxes.range("bob", 100_000, ALL, 200)) == far[70:]


async def test_entries_of_a_lost_log_stored_late_are_seen_after_a_minute(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    monkeypatch.setattr(places, "monotonic", lambda: seconds)
    new = range(2**33, 2**33 + 1_000)
    await insert_by(20, store, mailbox(5, *new))
    for _ in range(2):
        assert seqs(await store.mailboxes.range("bob", 6, ALL, 10)) == [*new[:10]]
    with counted(store) as read:
        await store.mailboxes.range("bob", 6, ALL, 10)
        assert len(read) <= 2, "the gap is remembered"
    await store.mailboxes.insert([msgspec.structs.replace(entry(9), prev=5)])
    seconds = 61.0
    for _ in range(2):
        assert seqs(await store.mailboxes.range("bob", 6, ALL, 10)) == [9, *new[:9]]


async def test_entries_from_before_there_were_buckets_are_read(store: MongoStore) -> None:
    old = {"_id": "bob|0000000000000005", "u": "bob", "s": 5, "p": 0, "k": "m", "f": "alice"}
    old |= {"d": "ALICEDEVICE", "i": made(5), "a": 50, "r": b"record 5"}
    await store.mailboxes._mailbox.insert_missing([old])
    await store.mailboxes.insert(mailbox(5, 6)[1:])
    first, second = await store.mailboxes.range("bob", 0, ALL, 10)
    assert msgspec.structs.replace(first, newest="") == entry(5)
    assert first.greatest > made(5), "what came before it is known by its time only"
    assert second.seq == 6


USERS = itertools.count()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    numbers=st.lists(st.integers(1, 3 * SPAN), min_size=1, max_size=60, unique=True).map(sorted),
    lives=st.lists(st.tuples(st.integers(0, 59), st.lists(st.integers(1, 20), max_size=20)), max_size=4),
    bounds=st.tuples(st.integers(0, 3 * SPAN), st.integers(0, 3 * SPAN), st.integers(1, 70)),
)
async def test_reads_are_complete_whatever_lives_cut_it(
    store: MongoStore, numbers: list[int], lives: list[tuple[int, list[int]]], bounds: tuple[int, int, int]
) -> None:
    """Each life begins where everything before is stored, and may end anywhere."""
    user, upto = f"user-{next(USERS)}", 0
    whole = mailbox(*numbers, user=user)
    for start, cuts in lives:
        at = min(start, upto)
        for size in cuts:
            await store.mailboxes.insert(whole[at : at + size])
            at += size
        upto = max(upto, min(at, len(whole)))
    stored = numbers[:upto]
    low, high, limit = bounds
    assert (
        seqs(await store.mailboxes.range(user, low, high, limit))
        == [s for s in stored if low < s <= high][:limit]
    )
    assert (
        seqs(await store.mailboxes.latest(user, high, limit)) == [s for s in stored[::-1] if s < high][:limit]
    )
    below = [s for s in stored if s < high]
    assert seqs(await store.mailboxes.tail(user, low, high, ALL)) == (
        [s for s in below if s > low] or below[-1:]
    )
    end = seqs(await store.mailboxes.tail(user, low, high, limit))
    assert end == below[len(below) - len(end) :]
    assert bool(end) == bool(below)


async def test_the_end_of_a_mailbox_starts_after_what_was_swept(store: MongoStore) -> None:
    whole = mailbox(*range(1, 10))
    await store.mailboxes.insert(whole[:3])
    await store.mailboxes.insert(whole[3:5])
    await store.mailboxes.insert(whole[2:3])  # a replay; of its bucket only the end is swept below
    await store.mailboxes.insert(whole[5:])
    assert seqs(await store.mailboxes.tail("bob", 0, 8, 100)) == [1, 2, 3, 4, 5, 6, 7]
    await store.mailboxes.sweep("bob", 6)
    assert seqs(await store.mailboxes.tail("bob", 0, 8, 100)) == [6, 7]
    await store.mailboxes.insert(whole[:2])
    assert seqs(await store.mailboxes.tail("bob", 0, 8, 100)) == [6, 7]
    assert seqs(await store.mailboxes.tail("bob", 0, 3, 100)) == [1, 2]
    assert seqs(await store.mailboxes.tail("bob", 7, 7, 100)) == [6]
    assert await store.mailboxes.tail("nobody", 0, 8, 100) == []


async def test_questions_about_senders(store: MongoStore) -> None:
    await store.mailboxes.insert(
        [
            entry(1),
            entry(2, sender="eve", cause=made(1)),
            entry(3, cause=made(1)),
            entry(4, kind="k", sender=""),
            entry(5),
        ]
    )
    assert seqs(await store.mailboxes.history("bob", "alice", ALL, 10)) == [5, 3, 1]
    assert seqs(await store.mailboxes.history("bob", "alice", 5, 1)) == [3]
    assert await store.mailboxes.summary("bob", 10) == {
        "alice": [(5, 50), (3, 30), (1, 10)],
        "eve": [(2, 20)],
    }
    assert await store.mailboxes.summary("bob", 2) == {"alice": [(5, 50), (3, 30)]}
    found = await store.mailboxes.find_causes("bob", [made(1), made(5), made(6), "no-id"], 5)
    assert {key: each.seq for key, each in found.items()} == {
        ("alice", "ALICEDEVICE", made(1)): 1,
        ("eve", "EVEDEVICE", made(1)): 2,
    }
    assert await store.mailboxes.find_causes("bob", ["no-id"], ALL) == {}


async def test_history_has_both_sides_and_control_messages_are_not_counted(store: MongoStore) -> None:
    def sent(seq: int, peer: str, copies: dict[str, bytes]) -> MailboxDocument:
        record = SentRecord("bob", f"i{seq}", "P", peer, peer, seq, 0, 0, payloads=copies)
        return MailboxDocument("bob", seq, 0, "s", "", "", f"i{seq}", seq * 10, encode_record(record))

    silent = msgspec.structs.replace(entry(4), silent=True)
    copies = {"Q": b"x"}
    await store.mailboxes.insert(
        [entry(1), sent(2, "alice", copies), sent(3, "carol", copies), silent, sent(5, "alice", {}), entry(6)]
    )
    assert seqs(await store.mailboxes.history("bob", "alice", ALL, 10)) == [6, 4, 1]
    assert seqs(await store.mailboxes.history("bob", "alice", ALL, 10, sent=True)) == [6, 4, 2, 1]
    assert seqs(await store.mailboxes.history("bob", "alice", 4, 1, sent=True)) == [2]
    assert await store.mailboxes.summary("bob", 10) == {"alice": [(6, 60), (1, 10)]}
    assert [each.silent for each in await store.mailboxes.range("bob", 2, 4, 10)] == [False, True]


async def test_stubs(store: MongoStore) -> None:
    now = 4_000_000_000_000
    first, other = [Stub("bob", "alice", device, made(7), 70, now, b"digest") for device in ("A", "B")]
    await store.mailboxes.put_stubs([first, other])
    await store.mailboxes.put_stubs([msgspec.structs.replace(first, seq=90), first])
    await store.mailboxes.put_stubs([])
    assert await store.mailboxes.find_stubs("bob", [made(7), made(8)]) == {
        ("alice", "A", made(7)): first,
        ("alice", "B", made(7)): other,
    }
    assert await store.mailboxes.find_stubs("carol", [made(7)]) == {}
    assert await store.mailboxes.find_stubs("bob", []) == {}
    assert await store.mailboxes.range("bob", 0, ALL, 10) == []


async def test_sweep(store: MongoStore) -> None:
    for each in [*mailbox(1, 2, 3, 4, 5), entry(1, user="eve")]:
        await store.mailboxes.insert([each])
    for _ in range(2):
        await store.mailboxes.sweep("bob", 4)
        assert seqs(await store.mailboxes.range("bob", 0, ALL, 10)) == [4, 5]
    assert seqs(await store.mailboxes.range("eve", 0, ALL, 10)) == [1]


async def test_watermarks_never_fall(store: MongoStore) -> None:
    row = Conversation("alice", "bob", "bob", 10, 8, 100, 90, 50, 3)
    stale = Conversation("alice", "bob", "bob", 9, 9, 95, 95, 40, 0)
    await store.conversations.put([row])
    await store.conversations.put([stale])
    merged = Conversation("alice", "bob", "bob", 10, 9, 100, 95, 50, 3)
    assert await store.conversations.of_user("alice") == [merged]
    assert await store.conversations.of_users(["alice", "bob"]) == {"alice": [merged], "bob": []}
    await store.conversations.put([])


async def test_first_writers_of_a_row_meet(store: MongoStore) -> None:
    rows = [Conversation("alice", "bob", "bob", delivered_seq=seq) for seq in range(20)]
    await asyncio.gather(*(store.conversations.put([row]) for row in rows))
    assert [row.delivered_seq for row in await store.conversations.of_user("alice")] == [19]


async def test_sheets_are_folded_by_writes_and_left_alone_by_reads(
    store: MongoStore, mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> None:
    async def sheets() -> int:
        return len(await store.conversations._sheets.many({"u": "alice"}))

    for seq in range(1, 60):
        await store.conversations.put([Conversation("alice", f"p{seq % 3}", "p", delivered_seq=seq)])
    assert await sheets() <= 16
    key = await store.conversations._keys.of("alice")
    rows = [Conversation("alice", "p0", "p", delivered_seq=n) for n in range(100, 140)]
    left = [sheet for row in rows for sheet in Sheets().of("alice", [row], key)]
    await store.conversations._sheets.insert_missing(left)  # by a host that died before it folded them
    another = MongoStore(mongo_url, database, driver_name, keyring)
    newest = {"p0": 139, "p1": 58, "p2": 59}
    before = await sheets()
    assert {row.peer: row.delivered_seq for row in await another.conversations.of_user("alice")} == newest
    assert await sheets() == before
    await another.conversations.put([Conversation("alice", "p1", "p", delivered_seq=60)])
    assert await sheets() == 1
    found = await store.conversations.of_users(["alice"])
    assert {row.peer: row.delivered_seq for row in found["alice"]} == newest | {"p1": 60}
    await another.close()


async def test_when_many_rows_are_due_each_write_folds_a_part(
    store: MongoStore, mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> None:
    users = [f"user-{number}" for number in range(40)]

    def rows(seq: int) -> list[Conversation]:
        return [Conversation(user, "p", "p", delivered_seq=seq) for user in users]

    for seq in range(1, 16):
        await store.conversations.put(rows(seq))
    another = MongoStore(mongo_url, database, driver_name, keyring)
    await another.conversations.of_users(users)
    folded = []
    for seq in range(16, 21):
        await another.conversations.put(rows(seq))
        folded.append(40 * seq - len(await store.conversations._sheets.many({})))
    await another.close()
    # Of the first ten users 16 sheets of 17 go, of the next ten 17 of 18, and so on.
    assert folded == [0, 160, 160 + 170, 160 + 170 + 180, 160 + 170 + 180 + 190]
    found = await store.conversations.of_users(users)
    assert all([row.delivered_seq for row in found[user]] == [20] for user in users)


async def test_users_with_many_peers_are_folded_less_often(store: MongoStore) -> None:
    await store.conversations.put(
        [Conversation("alice", f"p{n}", "p", delivered_seq=1) for n in range(320)]  # 20 sheets more
    )
    for seq in range(2, 17):
        await store.conversations.put([Conversation("alice", "p0", "p", delivered_seq=seq)])
    assert len(await store.conversations._sheets.many({"u": "alice"})) == 1  # at the sixteenth
    for seq in range(17, 52):
        await store.conversations.put([Conversation("alice", "p0", "p", delivered_seq=seq)])
    assert len(await store.conversations._sheets.many({"u": "alice"})) == 36
    await store.conversations.put([Conversation("alice", "p0", "p", delivered_seq=52)])
    assert len(await store.conversations._sheets.many({"u": "alice"})) == 1


async def test_rows_of_the_releases_around_this_one_are_read(
    mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> None:
    lenient = KeyRing(structs.replace(keyring.secrets, lenient=True))
    store = MongoStore(mongo_url, database, driver_name, lenient)
    numbers = list(range(1, len(Conversation.__struct_fields__) - 2))
    for written in (numbers[:-2], [*numbers, 99]):
        sheet = {"_id": f"alice|{len(written)}", "u": "alice", "r": [["bob", "bob", *written]]}
        await store.conversations._sheets.insert_missing([sheet])
    assert await store.conversations.of_user("alice") == [Conversation("alice", "bob", "bob", *numbers)]
    await store.close()


async def test_receipts_after(store: MongoStore) -> None:
    rows = [Conversation("alice", f"p{seq}", "p", receipt_seq=seq) for seq in (30, 10, 20, 0)]
    await store.conversations.put(rows)
    assert [row.receipt_seq for row in await store.conversations.receipts_after("alice", 10, 30)] == [20, 30]
    assert await store.conversations.receipts_after("bob", 0, ALL) == []


async def test_cursors_never_fall(store: MongoStore) -> None:
    await store.mailboxes.put_cursors([Cursor("alice", "PHONEPHONE", 10), Cursor("alice", "LAPTOPLAPTOP", 4)])
    await store.mailboxes.put_cursors([Cursor("alice", "PHONEPHONE", 9), Cursor("bob", "PHONEPHONE", 1)])
    await store.mailboxes.put_cursors([Cursor("bob", "PHONEPHONE", 3), Cursor("bob", "PHONEPHONE", 2)])
    cursors = {"alice": {"PHONEPHONE": 10, "LAPTOPLAPTOP": 4}, "bob": {"PHONEPHONE": 3}, "eve": {}}
    assert await store.mailboxes.cursors_of(["alice", "bob", "eve"]) == cursors
    await store.accounts.remove_device("alice", "PHONEPHONE")
    assert await store.mailboxes.cursors_of(["alice"]) == {"alice": {"LAPTOPLAPTOP": 4}}
