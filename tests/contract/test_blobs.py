"""Blobs on a real store, in a real folder or bucket: what is noted is there, whoever dies or comes late.

In a folder; ``--media-on s3,gcs,azure`` takes buckets (`make media-test`).
"""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pymongo import MongoClient

from roost.errors import RoostError, Unavailable
from storage.blob_records import Blob
from storage.blobs import BlobStore, Quota, StoredObjects, WriterReplaced
from storage.blobs.quota import DAY_MS
from storage.blobs.sealing import PartBroken
from storage.mongo import MongoStore
from storage.mongo.driver import Driver
from tests.buckets.places import Place, stored

QUOTA = Quota(
    file_bytes=10_000_000,
    user_bytes=20_000_000,
    user_files=6,
    day_bytes=25_000_000,
    day_files=8,
    keep_ms=10 * DAY_MS,
    unfinished_ms=DAY_MS,
)
NOW = 1_800_000_000_000
PART = 64 * 1024


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


class World:
    """A store of media, and the clock that it goes by."""

    def __init__(self, store: MongoStore, objects: StoredObjects, folder: Path | None) -> None:
        self.folder, self.clock, self.rows = folder, Clock(), store.blobs
        self.objects = objects
        self.blobs = BlobStore(self.rows, self.objects, QUOTA, self.clock, part=PART)

    async def upload(self, data: bytes, user: str = "u-alice") -> str:
        media_id, blob = await self.blobs.reserve(user, len(data))
        writer = await self.blobs.begin(blob)
        await writer.write(data)
        await self.blobs.finish(writer)
        return media_id

    async def read(self, media_id: str, begin: int = 0, end: int | None = None) -> bytes:
        blob = await self.blobs.find(media_id)
        parts = [
            bytes(part) async for part in self.blobs.read(blob, begin, blob.size if end is None else end)
        ]
        return b"".join(parts)

    async def stored(self) -> dict[str, bytes]:
        return await stored(self.objects)


@pytest.fixture
def driver_name() -> Driver:
    return "motor"  # both are tried with every other row


@pytest.fixture
def world(store: MongoStore, media_place: Place) -> World:
    objects = media_place.new()()
    return World(store, objects, media_place.folder_of(objects))


async def test_bytes_come_back_whole_and_in_ranges(world: World) -> None:
    data = secrets.token_bytes(2 * PART + 12_345)
    media_id = await world.upload(data)
    assert await world.read(media_id) == data
    for begin, end in ((0, 1), (PART - 1, PART + 1), (PART, 2 * PART), (2 * PART + 1, len(data)), (5, 5)):
        assert await world.read(media_id, begin, end) == data[begin:end]
    assert (await world.blobs.find(media_id)).expires_at_ms == NOW + QUOTA.keep_ms


async def test_nothing_of_it_and_no_id_is_in_the_folder_or_the_row(
    world: World, mongo_url: str, database: str
) -> None:
    data = b"a sentence that must not be seen " * 100
    media_id = await world.upload(data)
    [(name, content)] = (await world.stored()).items()
    if world.folder is not None:
        file = world.folder / name
        assert file.stat().st_mode & 0o077 == 0 or world.folder.stat().st_mode & 0o077 == 0
    with MongoClient[dict[str, Any]](mongo_url) as client:
        rows = repr(list(client[database]["blobs"].find()))
    for seen in (content, name.encode(), rows.encode()):
        assert b"must not be seen" not in seen
        assert media_id.encode() not in seen


@pytest.mark.attack("parts of a blob are swapped, altered or replaced in the media store")
async def test_a_part_at_another_place_does_not_open(world: World) -> None:
    one = await world.upload(secrets.token_bytes(2 * PART))
    other = await world.upload(secrets.token_bytes(PART))
    blob = await world.blobs.find(one)
    first, second = [await world.objects.get(blob.place(index)) for index in (0, 1)]
    foreign = await world.objects.get((await world.blobs.find(other)).place(0))
    assert first is not None
    assert second is not None
    assert foreign is not None
    for put in (second, foreign, first[:-1], first[:40] + bytes((first[40] ^ 1,)) + first[41:], b""):
        await world.objects.put(blob.place(0), put)
        with pytest.raises(PartBroken):
            await world.read(one)
    await world.objects.delete([blob.place(0)])
    with pytest.raises(PartBroken):
        await world.read(one)


async def test_an_upload_goes_on_where_the_store_has_it(world: World) -> None:
    data = secrets.token_bytes(3 * PART + 77)
    media_id, blob = await world.blobs.reserve("u-alice", len(data))
    for size in (10, PART, 1, PART + 5, 2 * PART):
        writer = await world.blobs.begin(blob)
        await writer.write(data[blob.offset : blob.offset + size])
        await writer.flush()
        blob = await world.blobs.find(media_id)
        assert blob.offset == writer.offset
    assert blob.offset == len(data)
    await world.blobs.finish(await world.blobs.begin(blob))
    assert await world.read(media_id) == data
    assert len(await world.stored()) == 4, "what is written again replaces what was there"


async def test_a_writer_that_dies_loses_only_what_was_not_noted(world: World) -> None:
    data = secrets.token_bytes(9 * PART + 5)
    media_id, blob = await world.blobs.reserve("u-alice", len(data))
    writer = await world.blobs.begin(blob)
    await writer.write(data)  # and nothing more is heard of it
    blob = await world.blobs.find(media_id)
    assert blob.offset == 8 * PART
    heir = await world.blobs.begin(blob)
    await heir.write(data[blob.offset :])
    await world.blobs.finish(heir)
    assert await world.read(media_id) == data


@pytest.mark.attack("two connections append to one upload at once")
async def test_a_writer_that_was_replaced_spoils_nothing(world: World) -> None:
    data = secrets.token_bytes(PART + 50)
    media_id, blob = await world.blobs.reserve("u-alice", len(data))
    late = await world.blobs.begin(blob)
    await late.write(data[:100])
    await late.flush()
    heir = await world.blobs.begin(await world.blobs.find(media_id))
    await heir.write(data[100:])
    await late.write(b"x" * (PART + 10))
    with pytest.raises(WriterReplaced):
        await late.flush()
    await world.blobs.finish(heir)
    with pytest.raises(WriterReplaced):
        await late.flush()
    assert await world.read(media_id) == data
    assert len(await world.stored()) == 2


@pytest.mark.parametrize("ended", [False, True], ids=["replaced", "removed"])
async def test_who_saw_the_row_before_another_took_over_is_told_so(world: World, *, ended: bool) -> None:
    media_id, blob = await world.blobs.reserve("u-alice", PART)
    writer = await world.blobs.begin(blob)
    await writer.write(b"a" * 100)
    await writer.flush()
    seen = await world.blobs.find(media_id)
    await (world.blobs.remove(seen) if ended else world.blobs.begin(seen))
    with pytest.raises(WriterReplaced):  # and not that the part is broken, which is no longer there
        await world.blobs.begin(seen)


async def test_of_two_who_take_over_at_once_one_does(world: World) -> None:
    _, blob = await world.blobs.reserve("u-alice", 500)
    writers = await asyncio.gather(*(world.blobs.begin(blob) for _ in range(8)), return_exceptions=True)
    assert sum(not isinstance(each, WriterReplaced) for each in writers) == 1


@pytest.mark.attack("quota exceeded by parallel uploads")
async def test_uploads_at_once_do_not_pass_the_quota_together(world: World) -> None:
    size = QUOTA.user_bytes // 3
    begun = await asyncio.gather(
        *(world.blobs.reserve("u-alice", size) for _ in range(12)), return_exceptions=True
    )
    refused = [each for each in begun if isinstance(each, RoostError)]
    assert len(begun) - len(refused) <= 3
    assert {each.code.word for each in refused} == {"media_quota"}
    kept = [each for each in await world.rows.usage("u-alice") if each.state == "open"]
    assert len(kept) == len(begun) - len(refused), "what was refused leaves nothing behind"
    await world.blobs.reserve("u-bob", size)


@pytest.mark.attack("uploads that are deleted at once, to pass the day's quota")
async def test_what_was_deleted_counts_for_a_day(world: World) -> None:
    for _ in range(QUOTA.day_files):
        await world.blobs.remove(await world.blobs.find(await world.upload(b"x" * 1000)))
    world.clock.now += 1000
    with pytest.raises(RoostError) as refused:
        await world.upload(b"x")
    assert refused.value.code.word == "rate_limited"
    assert refused.value.retry_after_s == pytest.approx(DAY_MS / 1000 - 1)
    world.clock.now += DAY_MS
    await world.blobs.collect()
    assert await world.rows.usage("u-alice") == []
    await world.upload(b"x")


@pytest.mark.attack("unfinished uploads fill the disk")
async def test_unfinished_uploads_are_counted_and_collected(world: World) -> None:
    for _ in range(2):
        _, blob = await world.blobs.reserve("u-alice", QUOTA.user_bytes // 2)
        writer = await world.blobs.begin(blob)
        await writer.write(b"x" * 1000)
        await writer.flush()
    with pytest.raises(RoostError) as refused:
        await world.blobs.reserve("u-alice", 1)
    assert refused.value.code.word == "media_quota"
    assert len(await world.stored()) == 2
    assert await world.blobs.collect() == 0
    world.clock.now += QUOTA.unfinished_ms
    assert await world.blobs.collect() == 2
    assert await world.stored() == {}
    assert [each.size for each in await world.rows.usage("u-alice")] == [1000, 1000]


@pytest.mark.attack("a file is read after its time, before anything has collected it")
async def test_an_expired_file_is_gone_at_once(world: World) -> None:
    media_id = await world.upload(b"x" * 10)
    world.clock.now += QUOTA.keep_ms
    with pytest.raises(RoostError) as gone:
        await world.blobs.find(media_id)
    assert gone.value.code.word == "unknown_media"
    await world.blobs.collect()
    assert await world.stored() == {}


async def test_a_removed_blob_cannot_be_opened_by_what_the_store_has(world: World) -> None:
    media_id = await world.upload(b"x" * 10)
    blob = await world.blobs.find(media_id)
    await world.rows.bury(blob.name, NOW + DAY_MS)
    left = await world.rows.get(blob.name)
    assert left is not None
    assert (left.key, left.state) == (b"", "gone")
    await world.rows.bury(blob.name, NOW + 2 * DAY_MS)
    assert await world.rows.get(blob.name) == left, "a second time changes nothing"
    assert len(await world.stored()) == 1
    world.clock.now += DAY_MS
    await world.blobs.collect()
    assert await world.stored() == {}
    assert await world.rows.get(blob.name) is None


@pytest.mark.attack("a media id is guessed, or leads out of the folder")
@pytest.mark.parametrize(
    "media_id", ["", "x", "../" * 14 + "x", "/etc/passwd", "%2e%2e", "x" * 43, "x" * 5000, "\0" * 43]
)
async def test_an_id_that_was_not_given_finds_nothing(world: World, media_id: str) -> None:
    with pytest.raises(RoostError) as unknown:
        await world.blobs.find(media_id)
    assert unknown.value.code.word == "unknown_media"


async def test_a_row_comes_back_as_it_was_added(world: World) -> None:
    blob = Blob("n", "u", 5, 0, "open", b"k" * 32, "w", ((0, "w"), (3, "v")), 1, 2)
    await world.rows.add(blob)
    await world.rows.add(msgspec.structs.replace(blob, user="other"))
    assert await world.rows.get("n") == blob


async def test_a_part_that_was_refused_once_is_not_stored_with_what_follows(
    world: World, media_place: Place
) -> None:
    data = secrets.token_bytes(3 * PART + 99)
    media_id, blob = await world.blobs.reserve("u-alice", len(data))
    writer = await world.blobs.begin(blob)
    await writer.write(data[:PART])
    async with media_place.away(world.objects):
        with pytest.raises(Unavailable):
            await writer.write(data[PART : 2 * PART + 7])
        await writer.note()
    assert (await world.blobs.find(media_id)).offset == PART, "what is stored is not sent again"
    await writer.flush()
    assert (await world.blobs.find(media_id)).offset == 2 * PART + 7
    heir = await world.blobs.begin(await world.blobs.find(media_id))
    await heir.write(data[2 * PART + 7 :])
    await world.blobs.finish(heir)
    assert await world.read(media_id) == data


async def test_who_reads_while_the_store_is_away_is_not_told_that_the_file_is_gone(
    world: World, media_place: Place
) -> None:
    media_id = await world.upload(b"x" * 100)
    async with media_place.away(world.objects):
        with pytest.raises(Unavailable):
            await world.read(media_id)
    assert await world.read(media_id) == b"x" * 100
