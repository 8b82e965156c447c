"""Files through gateways whose bucket goes away, hangs or breaks off in between."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from cluster.control.media_collector import MediaCollector
from sim.faults.proxy import Proxy
from storage.blobs import StoredObjects
from tests.buckets.places import stored
from tests.buckets.servers import Bucket
from tests.integration.api_world import Person, Urls, World, media_of, running
from tests.integration.test_api_media import PART, append, ask, begun, offset, uploaded

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def way(plain_s3: Bucket) -> AsyncIterator[Proxy]:
    """The way to the bucket."""
    async with Proxy(plain_s3.server.spec.address) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str, plain_s3: Bucket, way: Proxy) -> AsyncIterator[World]:
    """Two gateways, each with a client of the bucket of its own."""
    url, access = f"{plain_s3.url}/{secrets.token_hex(6)}", plain_s3.at(way.address)
    urls = Urls(mongo_url, redis_url)
    async with running(urls, gateways=2, media=lambda: StoredObjects(url, access)) as whole:
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(world: World) -> Person:
    return await world.person(keys=False)


async def test_an_upload_goes_on_at_another_gateway_when_the_bucket_is_back(
    alice: Person, way: Proxy
) -> None:
    data = secrets.token_bytes(6 * PART + 12_345)
    upload = await begun(alice, len(data))
    assert (await append(alice, upload, data[: 3 * PART + 7], 0)).status == 204
    await way.refuse()
    refused = await append(alice, upload, data[3 * PART + 7 :], 3 * PART + 7)
    assert (refused.status, refused.code) == (503, "unavailable")
    assert refused.headers["Retry-After"]
    at = await offset(alice, upload, gateway=1)
    assert at == 3 * PART + 7, "what was counted is in the bucket"
    await way.heal()
    answer = await append(alice, upload, data[at:], at, gateway=1)
    assert answer.headers["Upload-Offset"] == str(len(data))
    assert (await ask(alice, "GET", upload.replace("/uploads", ""))).body == data


async def test_connections_to_the_bucket_that_break_are_noticed_by_no_one(alice: Person, way: Proxy) -> None:
    data = secrets.token_bytes(12 * PART)

    async def broken_again_and_again() -> None:
        while True:
            way.cut()
            await asyncio.sleep(0.1)

    breaking = asyncio.create_task(broken_again_and_again())
    try:
        path = f"/v1/media/{await uploaded(alice, data)}"
    finally:
        breaking.cancel()
    assert hashlib.sha256((await ask(alice, "GET", path)).body).digest() == hashlib.sha256(data).digest()


async def came_of(answer: aiohttp.ClientResponse, came: bytearray) -> None:
    while chunk := await answer.content.readany():
        came += chunk


async def test_a_download_that_breaks_off_shows_it_and_goes_on_by_range(alice: Person, way: Proxy) -> None:
    data = secrets.token_bytes(18 * PART)
    path = f"/v1/media/{await uploaded(alice, data)}"
    url, headers = alice.world.addresses[0] + path, {"Authorization": f"Bearer {alice.token}"}
    came = bytearray()
    async with alice.world.http.get(url, headers=headers) as answer:
        came += await answer.content.readexactly(1000)
        await way.refuse()
        with pytest.raises(aiohttp.ClientPayloadError):
            await came_of(answer, came)
    assert len(came) < len(data)
    away = await ask(alice, "GET", path)
    assert (away.status, away.code) == (503, "unavailable"), "not: there is no such file"
    await way.heal()
    rest = await ask(alice, "GET", path, gateway=1, Range=f"bytes={len(came)}-")
    assert bytes(came) + rest.body == data


async def test_a_file_that_could_not_be_stored_is_not_there_and_leaves_nothing(
    world: World, alice: Person, way: Proxy
) -> None:
    objects = world.gateways[0].collaborators.media.blobs._objects
    before = await stored(objects)
    await way.refuse()
    answer = await ask(alice, "POST", "/v1/media", b"x" * (2 * PART))
    assert (answer.status, answer.code) == (503, "unavailable")
    await way.heal()
    assert await stored(objects) == before


async def test_the_collector_goes_on_when_the_bucket_is_back(world: World, alice: Person, way: Proxy) -> None:
    objects = world.gateways[0].collaborators.media.blobs._objects
    media_id = await uploaded(alice, b"x" * 100)
    blobs = media_of(world.store, objects)
    blob = await blobs.find(media_id)
    await world.store.blobs.bury(blob.name, 0)
    collecting = asyncio.create_task(MediaCollector(blobs, every_s=0.1).run())
    await way.refuse()
    await asyncio.sleep(1)
    assert not collecting.done()
    await way.heal()
    async with asyncio.timeout(20):
        while await world.store.blobs.get(blob.name) is not None:
            await asyncio.sleep(0.1)
    collecting.cancel()
    assert not [name for name in await stored(objects) if name.startswith(blob.name)]
