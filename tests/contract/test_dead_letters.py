"""Dead letters in the store: kept once, listed newest first, written back by one at a time and only once."""

import asyncio

import pytest
from msgspec.structs import replace

from roost.errors import RoostError
from storage.cluster_rows import DeadLetter, KeptLetter
from storage.mongo import MongoStore
from storage.records import PushRecord, encode_push

LETTER = DeadLetter("mailbox", 1, 2, "not a record", b"\x00", 3)
MINUTE_MS = 60_000


def wakeup(device: str, at_ms: int, offset: int = 0) -> DeadLetter:
    value = encode_push(PushRecord("bob", device, "cause", at_ms))
    return DeadLetter("push", 0, offset, "given up", value, at_ms)


async def kept(store: MongoStore, before: str = "", limit: int = 100) -> list[KeptLetter]:
    return await store.cluster.dead_letters(before, limit)


async def test_a_letter_is_kept_once(store: MongoStore) -> None:
    await store.cluster.keep_dead_letters([LETTER, replace(LETTER, value=b"of another log")])
    await store.cluster.keep_dead_letters([LETTER])
    await store.cluster.keep_dead_letters([])
    assert LETTER in [each.letter for each in await kept(store)]
    assert len(await kept(store)) == 2


async def test_of_a_devices_wake_ups_the_newest_is_kept(store: MongoStore) -> None:
    await store.cluster.keep_dead_letters([wakeup("PHONE", 1), wakeup("TABLET", 2)])
    await store.cluster.claim_dead_letter("push:bob:PHONE", "user:eve", 3)
    await store.cluster.settle_dead_letter("push:bob:PHONE", 4, written=True)
    newer = wakeup("PHONE", 5, offset=9)
    await store.cluster.keep_dead_letters([newer])
    assert [(each.id, each.letter, each.retried_at_ms) for each in await kept(store)] == [
        ("push:bob:PHONE", newer, 0),
        ("push:bob:TABLET", wakeup("TABLET", 2), 0),
    ]
    await store.cluster.keep_dead_letters([replace(LETTER, topic="push")])  # not decoded: no one's
    assert len(await kept(store)) == 3


async def test_pages_go_back_without_a_gap_also_within_one_millisecond(store: MongoStore) -> None:
    letters = [replace(LETTER, offset=number, at_ms=number // 3) for number in range(10)]
    await store.cluster.keep_dead_letters(letters)
    pages, before = [], ""
    while page := await kept(store, before, 4):
        pages += page
        before = page[-1].id
    assert sorted(each.letter.offset for each in pages) == list(range(10))
    assert [each.letter.at_ms for each in pages] == sorted((n // 3 for n in range(10)), reverse=True)
    with pytest.raises(RoostError, match="there is no such letter"):
        await kept(store, "mailbox:0:0:none")


async def test_of_many_at_once_one_writes_it_back(store: MongoStore) -> None:
    await store.cluster.keep_dead_letters([LETTER])
    [letter] = await kept(store)
    claims = [store.cluster.claim_dead_letter(letter.id, f"user:{n}", 10) for n in range(10)]
    got = await asyncio.gather(*claims, return_exceptions=True)
    assert sum(isinstance(each, KeptLetter) for each in got) == 1
    refused = [each for each in got if isinstance(each, RoostError)]
    assert [each.code.word for each in refused] == ["already_retried"] * 9
    await store.cluster.settle_dead_letter(letter.id, 20, written=True)
    with pytest.raises(RoostError, match="before"):
        await store.cluster.claim_dead_letter(letter.id, "user:eve", 10 * MINUTE_MS)
    [after] = await kept(store)
    assert (after.retried_at_ms, after.retried_by.split(":")[0]) == (20, "user")
    assert await store.cluster.claim_dead_letter("mailbox:9:9:none", "user:eve", 10) is None


async def test_one_that_was_not_written_back_is_free_again(store: MongoStore) -> None:
    await store.cluster.keep_dead_letters([LETTER])
    [letter] = await kept(store)
    assert await store.cluster.claim_dead_letter(letter.id, "user:eve", 10)
    await store.cluster.settle_dead_letter(letter.id, 11, written=False)
    assert await store.cluster.claim_dead_letter(letter.id, "user:bob", 12)  # who then dies
    with pytest.raises(RoostError, match="Someone else"):
        await store.cluster.claim_dead_letter(letter.id, "user:ann", 13)
    assert await store.cluster.claim_dead_letter(letter.id, "user:ann", 13 + MINUTE_MS)
