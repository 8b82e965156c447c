import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from roost.errors import RoostError, Unavailable
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.kafka_log.client import MAX_RECORD
from storage.ports import LogLost, LogRecord
from tests.conftest import LogServer

SHARDS = 4


@pytest.fixture
async def admin(log_server: LogServer) -> AsyncIterator[KafkaLogAdmin]:
    admin = KafkaLogAdmin(log_server.url)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture
async def mailbox(admin: KafkaLogAdmin, topic: str) -> AsyncIterator[str]:
    await admin.create(topic, SHARDS)
    yield topic
    await admin.delete(topic)


@pytest.fixture
async def writer(log_server: LogServer) -> AsyncIterator[KafkaLogWriter]:
    writer = KafkaLogWriter(log_server.url, deadline_s=3)
    await writer.start()
    yield writer
    await writer.close()


@pytest.fixture
async def reader(log_server: LogServer, mailbox: str) -> AsyncIterator[KafkaLogReader]:
    group = f"group-{mailbox}"
    reader = KafkaLogReader(
        log_server.url, mailbox, group, fetch_wait_ms=log_server.fetch_wait_ms, lost_after_s=0.1
    )
    await reader.start()
    yield reader
    await reader.close()


async def read(reader: KafkaLogReader, count: int) -> dict[int, list[LogRecord]]:
    """Poll until ``count`` records have come."""
    found: dict[int, list[LogRecord]] = {}
    async with asyncio.timeout(10):
        while sum(map(len, found.values())) < count:
            for shard, records in (await reader.poll(wait_ms=100, limit=500)).items():
                found.setdefault(shard, []).extend(records)
    return found


def values(found: Mapping[int, list[LogRecord]]) -> dict[int, list[bytes]]:
    return {shard: [record.value for record in records] for shard, records in found.items()}


async def test_topics(admin: KafkaLogAdmin, topic: str) -> None:
    assert await admin.partitions(topic) is None
    await admin.delete(topic)
    await admin.create(topic, 3)
    assert await admin.partitions(topic) == 3
    await admin.create(topic, 5)
    assert await admin.partitions(topic) == 3, "an existing topic is left as it is"
    await admin.delete(topic)
    assert await admin.partitions(topic) is None


async def test_partitions_are_added_and_those_that_were_there_go_on(
    writer: KafkaLogWriter, reader: KafkaLogReader, admin: KafkaLogAdmin, mailbox: str
) -> None:
    assert await writer.append(mailbox, [(0, b"before")]) == [0]
    await reader.assign({0: 0})
    await read(reader, 1)
    if not await admin.grow(mailbox, 2 * SHARDS, only_ask=True):
        assert not await admin.grow(mailbox, 2 * SHARDS), "Tansu cannot"
        return
    assert await admin.partitions(mailbox) == SHARDS, "it was only asked"
    assert await admin.grow(mailbox, 2 * SHARDS)
    assert await admin.grow(mailbox, 2 * SHARDS), "again: nothing happens"
    assert await admin.partitions(mailbox) == 2 * SHARDS
    writer.renumber()
    shards = range(2 * SHARDS)
    assert await writer.append(mailbox, [(shard, b"after") for shard in shards]) == [1] + [0] * 7
    await reader.start_over()
    await reader.assign({shard: int(shard == 0) for shard in shards})
    assert values(await read(reader, 2 * SHARDS)) == {shard: [b"after"] for shard in shards}
    await reader.commit(dict.fromkeys(shards, 1))
    assert await reader.committed(list(shards)) == dict.fromkeys(shards, 1)
    with pytest.raises(Unavailable):
        await admin.grow(mailbox, SHARDS)


async def test_waiting_appends_are_refused_when_shards_are_added(
    writer: KafkaLogWriter, mailbox: str
) -> None:
    await writer.pause()
    waiting = asyncio.create_task(writer.append(mailbox, [(0, b"by the old number"), (1, b"likewise")]))
    await asyncio.sleep(0)
    writer.renumber()
    writer.resume()
    assert [type(each) for each in await waiting] == [Unavailable, Unavailable]
    assert await writer.append(mailbox, [(0, b"by the new one")]) == [0]


async def test_offsets_are_what_the_reader_sees(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str
) -> None:
    items = [(n % SHARDS, b"value %d" % n) for n in range(200)]
    offsets = await writer.append(mailbox, items)
    await reader.assign(dict.fromkeys(range(SHARDS), 0))
    found = await read(reader, 200)
    seen = {(shard, each.offset): each.value for shard, records in found.items() for each in records}
    assert {(shard, at): value for (shard, value), at in zip(items, offsets, strict=True)} == seen
    assert await writer.append(mailbox, []) == []


async def test_overlapping_appends_keep_their_order(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str
) -> None:
    calls = [asyncio.create_task(writer.append(mailbox, [(n % 2, b"%d" % n)])) for n in range(400)]
    await asyncio.sleep(0.002)
    calls += [asyncio.create_task(writer.append(mailbox, [(n % 2, b"%d" % n)])) for n in range(400, 800)]
    await asyncio.gather(*calls)
    await reader.assign({0: 0, 1: 0})
    found = await read(reader, 800)
    assert values(found) == {shard: [b"%d" % n for n in range(shard, 800, 2)] for shard in (0, 1)}
    assert [each.offset for each in found[0]] == list(range(400))


async def test_large_values_do_not_share_a_batch(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str
) -> None:
    large = [secrets.token_bytes(600_000) for _ in range(3)] + [secrets.token_bytes(2_000_000), b"small"]
    assert await writer.append(mailbox, [(0, value) for value in large]) == [0, 1, 2, 3, 4]
    await reader.assign({0: 0})
    assert values(await read(reader, 5)) == {0: large}
    [answer] = await writer.append(mailbox, [(0, bytes(MAX_RECORD + 1))])
    assert isinstance(answer, RoostError)
    assert answer.code.word == "too_large"


async def test_pause_holds_appends_back(writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str) -> None:
    before = asyncio.create_task(writer.append(mailbox, [(0, b"before")]))
    await asyncio.sleep(0)
    await writer.pause()
    await writer.pause()
    held = [asyncio.create_task(writer.append(mailbox, [(0, b"%d" % n)])) for n in range(3)]
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in held)
    writer.resume()
    later = asyncio.create_task(writer.append(mailbox, [(0, b"3")]))
    await asyncio.gather(before, *held, later)
    await reader.assign({0: 0})
    assert values(await read(reader, 5)) == {0: [b"before", b"0", b"1", b"2", b"3"]}


async def test_a_writer_knows_how_far_it_has_written(writer: KafkaLogWriter, mailbox: str) -> None:
    assert writer.ends(mailbox) == {}
    await writer.append(mailbox, [(0, b"a"), (0, b"b"), (1, b"c")])
    await writer.append(mailbox, [(0, b"d")])
    await writer.pause()
    assert writer.ends(mailbox) == {0: 3, 1: 1}
    assert 2 <= writer.batches <= 4
    assert writer.ends("another") == {}
    writer.resume()
    assert writer.ends(mailbox) == {0: 3, 1: 1}, "a pause is no new log"
    writer.forget({mailbox: [0], "another": [1]})
    assert writer.ends(mailbox) == {1: 1}


async def test_the_end_of_a_quiet_shard_is_known_before_a_fetch_has_waited(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str, log_server: LogServer
) -> None:
    await writer.append(mailbox, [(0, b"one"), (0, b"two")])
    await reader.assign({0: 2, 1: 0})
    if log_server.fetch_wait_ms < 100:
        await reader.poll(wait_ms=200, limit=10)
    assert (reader.end(0), reader.end(1)) == (2, 0)
    await writer.append(mailbox, [(1, b"three")])
    assert values(await read(reader, 1)) == {1: [b"three"]}
    assert (reader.end(0), reader.end(1)) == (2, 1)


async def test_shards_already_read_keep_their_position(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str
) -> None:
    await writer.append(mailbox, [(0, b"a"), (1, b"b")])
    await reader.assign({0: 0})
    assert values(await read(reader, 1)) == {0: [b"a"]}
    await reader.assign({0: 0, 1: 0})
    assert values(await read(reader, 1)) == {1: [b"b"]}
    await reader.assign({1: 0})
    await writer.append(mailbox, [(0, b"c"), (1, b"d")])
    assert values(await read(reader, 1)) == {1: [b"d"]}
    await reader.assign({})
    assert await reader.poll(wait_ms=50, limit=10) == {}
    await reader.assign({0: 1})
    assert values(await read(reader, 1)) == {0: [b"c"]}


async def test_commit(reader: KafkaLogReader, mailbox: str, log_server: LogServer) -> None:
    assert await reader.committed([0, 1]) == {0: None, 1: None}
    await reader.assign({0: 0})
    await reader.commit({0: 3, 1: 9})
    await reader.commit({})
    assert await reader.committed([0, 1]) == {0: 3, 1: None}, (
        "a shard that was given away is not ours to commit"
    )
    other = KafkaLogReader(log_server.url, mailbox, f"group-{mailbox}")
    await other.start()
    assert await other.committed([0]) == {0: 3}
    await other.close()


async def test_a_group_begins_again_in_a_log_that_was_made_again(
    admin: KafkaLogAdmin, reader: KafkaLogReader, mailbox: str
) -> None:
    await reader.assign({0: 0, 1: 0})
    await reader.commit({0: 3, 1: 9})
    await admin.commit_starts(mailbox, f"group-{mailbox}")
    assert await reader.committed([0, 1]) == {0: 0, 1: 0}


async def test_end_is_known_for_idle_shards(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str
) -> None:
    await writer.append(mailbox, [(0, b"x")] * 112)
    assert reader.end(0) is None
    await reader.assign({0: 112, 1: 0})
    async with asyncio.timeout(5):
        while reader.end(0) is None or reader.end(1) is None:
            assert await reader.poll(wait_ms=50, limit=10) == {}
    assert (reader.end(0), reader.end(1)) == (112, 0)


async def test_a_paused_shard_is_not_read(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str
) -> None:
    await reader.assign({0: 0, 1: 0})
    reader.pause([0])
    await writer.append(mailbox, [(0, b"a"), (1, b"b")])
    assert values(await read(reader, 1)) == {1: [b"b"]}
    assert await reader.poll(wait_ms=200, limit=10) == {}
    await reader.assign({0: 0, 1: 0})
    assert await reader.poll(wait_ms=200, limit=10) == {}, "an assignment does not end a pause"
    reader.resume([0, 1])
    assert values(await read(reader, 1)) == {0: [b"a"]}


async def test_recreated_log_is_said_to_be_lost(
    writer: KafkaLogWriter, reader: KafkaLogReader, admin: KafkaLogAdmin, mailbox: str
) -> None:
    await writer.append(mailbox, [(0, b"a"), (0, b"b"), (1, b"c")])
    await reader.assign({0: 0, 1: 0, 2: 0})
    await read(reader, 3)
    await writer.pause()
    await admin.delete(mailbox)
    await asyncio.sleep(0.3)
    assert await admin.partitions(mailbox) is None, "a reader of the old log must not make a new one"
    await admin.create(mailbox, SHARDS)
    writer.resume()
    assert await writer.append(mailbox, [(0, b"new")]) == [0]
    for _ in range(2):
        assert await lost_shards(reader, 2) == {0, 1}
    assert await reader.starts([0, 1, 2]) == {0: 0, 1: 0, 2: 0}
    assert await admin.starts(mailbox) == dict.fromkeys(range(SHARDS), 0)
    await reader.assign({})
    await reader.assign({0: 0, 1: 0})
    assert values(await read(reader, 1)) == {0: [b"new"]}


async def lost_shards(reader: KafkaLogReader, count: int) -> set[int]:
    """Poll until so many shards are said to be lost; not all need be said at once."""
    found: set[int] = set()
    async with asyncio.timeout(10):
        while len(found) < count:
            with pytest.raises(LogLost) as lost:
                await read(reader, 1)
            found |= set(lost.value.shards)
    return found


async def test_a_reader_that_starts_over_returns_nothing_of_the_previous_log(
    writer: KafkaLogWriter, reader: KafkaLogReader, admin: KafkaLogAdmin, mailbox: str
) -> None:
    await reader.assign(dict.fromkeys(range(SHARDS), 0))
    await writer.append(mailbox, [(n % SHARDS, b"old") for n in range(100)])
    await read(reader, 1)  # and the rest is fetched, or is being fetched
    reader.pause([1])
    await writer.pause()
    await admin.delete(mailbox)
    await admin.create(mailbox, SHARDS)
    await reader.start_over()
    assert [reader.end(shard) for shard in range(SHARDS)] == [None] * SHARDS
    assert await reader.poll(wait_ms=50, limit=500) == {}
    await reader.assign(dict.fromkeys(range(SHARDS), 0))
    async with asyncio.timeout(5):
        while None in (ends := [reader.end(shard) for shard in range(SHARDS)]):
            assert await reader.poll(wait_ms=50, limit=500) == {}
    assert ends == [0] * SHARDS
    writer.resume()
    await writer.append(mailbox, [(shard, b"new") for shard in range(SHARDS)])
    assert values(await read(reader, SHARDS)) == {shard: [b"new"] for shard in range(SHARDS)}


async def test_a_new_log_that_has_grown_past_our_position_is_still_another_one(
    writer: KafkaLogWriter, reader: KafkaLogReader, admin: KafkaLogAdmin, mailbox: str
) -> None:
    await writer.append(mailbox, [(0, b"old")] * 10)
    await reader.assign({0: 0})
    found = await reader.poll(wait_ms=5000, limit=3)
    assert len(found[0]) == 3
    await writer.pause()
    await admin.delete(mailbox)
    await admin.create(mailbox, SHARDS)
    writer.resume()
    await writer.append(mailbox, [(0, b"new")] * 5)
    reader._consumer.seek(reader._partition(0), 3)  # what it had fetched ahead is gone, as after a pause
    assert await lost_shards(reader, 1) == {0}


async def test_a_lost_shard_is_reported_although_others_have_records(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str
) -> None:
    await writer.append(mailbox, [(0, b"a")])
    await reader.assign({0: 5, 1: 0})

    async def going_on() -> None:
        while True:
            await writer.append(mailbox, [(1, b"x")] * 5)

    writing = asyncio.create_task(going_on())
    try:
        with pytest.raises(LogLost) as lost:
            await read(reader, 1_000_000)
        assert lost.value.shards == (0,)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def test_a_reader_knows_for_how_long_no_broker_has_answered(reader: KafkaLogReader) -> None:
    assert (await reader.contact()).silent_s < 5
    long_ago = reader._now() - 60
    reader._answered = reader._answering_since = long_ago
    contact = await reader.contact()  # it has nothing to read: so it asks
    assert contact.silent_s < 5
    assert contact.answering_s < 5, "the pause ended what was before it"
    await reader.assign({0: 0})
    reader._answered = reader._answering_since = long_ago
    await reader.poll(wait_ms=700, limit=1)
    assert reader._answered > long_ago + 30, "an answer to a fetch is one, too"


async def test_an_unknown_topic_delays_no_one(
    writer: KafkaLogWriter, admin: KafkaLogAdmin, mailbox: str
) -> None:
    unknown = asyncio.create_task(writer.append(f"{mailbox}-none", [(0, b"x")]))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        assert await writer.append(mailbox, [(0, b"x")]) == [0]
    [answer] = await writer.append(mailbox, [(99, b"x")])
    assert isinstance(answer, Unavailable)
    [answer] = await unknown
    assert isinstance(answer, Unavailable)
    assert await admin.partitions(f"{mailbox}-none") is None


async def test_no_broker_answers() -> None:
    nowhere = "127.0.0.1:1"
    admin, reader = KafkaLogAdmin(nowhere), KafkaLogReader(nowhere, "mailbox", "routers")
    for client in (admin, reader, KafkaLogWriter(nowhere)):
        with pytest.raises(Unavailable):
            await client.start()


async def test_records_that_a_fetch_left_out_are_fetched_again(
    writer: KafkaLogWriter, reader: KafkaLogReader, mailbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = reader._consumer.getmany
    left_out: list[int] = []

    async def forgetful(**how: int) -> dict[object, list[Any]]:
        found = await fetch(**how)
        if found and len(left_out) < 2:
            # What Tansu was seen to do: once the first batch is missing, once some in the middle.
            ((partition, messages),) = found.items()
            at = 0 if not left_out else len(messages) // 2
            left_out.append(messages[at].offset)
            return {partition: messages[:at] + messages[at + 3 :]}
        return dict(found)

    monkeypatch.setattr(reader._consumer, "getmany", forgetful)
    await reader.assign({1: 0})
    await writer.append(mailbox, [(1, b"value %d" % n) for n in range(40)])
    found = await read(reader, 40)
    assert [record.offset for record in found[1]] == list(range(40))
    assert values(found)[1] == [b"value %d" % n for n in range(40)]
    assert len(left_out) == 2
