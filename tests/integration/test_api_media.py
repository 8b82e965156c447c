"""Files over HTTP: one request, tus with its own client, ranges, and what is refused.

In a folder that both gateways share; ``--media-on s3,gcs,azure`` takes buckets (`make media-test`).
"""

import asyncio
import hashlib
import io
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tusclient.client import TusClient

from api.identity.limits import Limit
from api.media import TransferLimits
from api.media.transfers import MediaLimits
from roost import wire
from tests.buckets.places import Place
from tests.integration.api_world import QUOTA, Person, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
PART = 1024 * 1024
UPLOADS = "/v1/media/uploads"
ORIGIN = "https://chat.example.org"
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}
LIMITS = MediaLimits(8, 4, TransferLimits(pause_s=0.3, grace_s=0.6, bytes_per_s=50_000))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str, media_place: Place) -> AsyncIterator[World]:
    urls, api = Urls(mongo_url, redis_url), {"media": LIMITS}
    async with running(urls, gateways=2, api=api, media=media_place.new()) as whole:
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(world: World) -> Person:
    return await world.person(keys=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(world: World) -> Person:
    return await world.person(keys=False)


class Answer:
    def __init__(self, answer: aiohttp.ClientResponse, body: bytes) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, body

    @property
    def code(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return str(json.loads(self.body)["code"])


async def ask(
    person: Person, method: str, path: str, data: Any = None, *, gateway: int = 0, **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["Authorization"] = f"Bearer {person.token}"
    url = person.world.addresses[gateway] + path
    if isinstance(data, bytes):
        data = io.BytesIO(data)
    async with person.world.http.request(method, url, data=data, headers=named) as answer:
        return Answer(answer, await answer.read())


async def uploaded(person: Person, data: bytes) -> str:
    answer = await ask(person, "POST", "/v1/media", data)
    assert answer.status == 201, answer.body
    return str(wire_json(answer)["media_id"])


def wire_json(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def begun(person: Person, size: int) -> str:
    answer = await ask(person, "POST", UPLOADS, **TUS, Upload_Length=str(size))
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


async def append(person: Person, upload: str, data: Any, at: int, gateway: int = 0) -> Answer:
    return await ask(person, "PATCH", upload, data, gateway=gateway, **CHUNK, Upload_Offset=str(at))


async def offset(person: Person, upload: str, gateway: int = 0) -> int:
    answer = await ask(person, "HEAD", upload, gateway=gateway, **TUS)
    assert answer.status == 200
    return int(answer.headers["Upload-Offset"])


@asynccontextmanager
async def raw(person: Person, head: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send the head of a request over a socket of its own."""
    host, port = person.world.addresses[0].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = f"{head}\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n\r\n"
    writer.write(lines.encode())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_a_file_comes_back_to_whoever_has_its_id(alice: Person, bob: Person) -> None:
    data = secrets.token_bytes(2 * PART + 5)
    answer = await ask(alice, "POST", "/v1/media", data)
    made = wire_json(answer)
    assert answer.status == 201
    assert set(made) == {"media_id", "size", "sha256", "expires_at_ms"}
    assert (made["size"], made["sha256"]) == (len(data), wire.unpadded(hashlib.sha256(data).digest()))
    path = f"/v1/media/{made['media_id']}"
    assert (await ask(bob, "GET", path, gateway=1)).body == data
    head = await ask(bob, "HEAD", path)
    assert (head.headers["Content-Length"], head.body) == (str(len(data)), b"")
    assert (await ask(bob, "GET", path, If_None_Match=head.headers["ETag"])).status == 304
    assert (await ask(alice, "DELETE", path)).status == 204
    assert (await ask(bob, "GET", path)).code == "unknown_media"


async def test_a_body_without_a_length_is_taken(alice: Person) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100
        yield b"y" * PART

    answer = await ask(alice, "POST", "/v1/media", body())
    assert wire_json(answer)["size"] == 100 + PART
    assert (await ask(alice, "GET", f"/v1/media/{wire_json(answer)['media_id']}")).body[98:102] == b"xxyy"


@pytest.mark.attack("a page or script uploaded as media is opened in a browser")
async def test_a_file_is_never_shown_in_the_name_of_the_server(alice: Person) -> None:
    made = wire_json(
        await ask(alice, "POST", "/v1/media", b"<script>alert(1)</script>", Content_Type="text/html")
    )
    for headers in ({}, {"Range": "bytes=0-4"}, {"Accept": "text/html"}):
        answer = await ask(alice, "GET", f"/v1/media/{made['media_id']}?type=text/html", **headers)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_ranges(alice: Person) -> None:
    data = secrets.token_bytes(PART + 1000)
    path = f"/v1/media/{await uploaded(alice, data)}"
    for asked, begin, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-", 10, len(data)),
        ("bytes=-7", len(data) - 7, len(data)),
        (f"bytes={PART - 1}-{PART}", PART - 1, PART + 1),
        ("bytes=5-99999999999999999999", 5, len(data)),
    ):
        answer = await ask(alice, "GET", path, Range=asked)
        assert (answer.status, answer.body == data[begin:end]) == (206, True), asked
        assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(data)}"
    tag = answer.headers["ETag"]
    assert (await ask(alice, "GET", path, Range="bytes=0-1", If_Range=tag)).status == 206
    assert (await ask(alice, "GET", path, Range="bytes=0-1", If_Range='"other"')).status == 200


@pytest.mark.attack("ranges: many, overlapping, huge or backwards, to multiply work")
async def test_ranges_cannot_multiply_work(alice: Person) -> None:
    path = f"/v1/media/{await uploaded(alice, b'x' * 1000)}"
    many = ",".join(["0-"] * 2000)
    bombs = [f"bytes={many}", "bytes=0-1,0-1", "bytes=1000-", "bytes=-0", f"bytes={'9' * 9000}-"]
    for bomb in bombs:
        answer = await ask(alice, "GET", path, Range=bomb)
        assert (answer.status, answer.code) == (416, "range_not_satisfiable"), bomb[:40]
        assert answer.headers["Content-Range"] == "bytes */1000"


@pytest.mark.attack("another user's file is deleted, or their upload continued, watched or ended")
async def test_what_is_anothers_stays_theirs(alice: Person, bob: Person) -> None:
    path = f"/v1/media/{await uploaded(alice, b'x' * 10)}"
    assert (await ask(bob, "DELETE", path)).code == "forbidden"
    upload = await begun(alice, 10)
    assert (await ask(bob, "HEAD", upload, **TUS)).status == 404
    for method, headers in (("DELETE", TUS), ("PATCH", {**CHUNK, "Upload-Offset": "0"})):
        answer = await ask(bob, method, upload, b"x" if method == "PATCH" else None, **headers)
        assert (answer.status, answer.code) == (404, "unknown_media")
    assert (await ask(alice, "GET", upload.replace("/uploads", ""))).code == "unknown_media", "not whole yet"
    assert await offset(alice, upload) == 0
    assert (await ask(alice, "GET", path)).body == b"x" * 10


@pytest.mark.attack("a media id is guessed, or leads out of the folder, over HTTP")
async def test_no_path_leads_out_of_the_folder(alice: Person) -> None:
    for path in ("%2e%2e%2f" * 4 + "etc%2fpasswd", "..%2f..%2fkeyring.json", "x" * 43, "%00" * 43, "."):
        answer = await ask(alice, "GET", f"/v1/media/{path}")
        assert answer.code in ("unknown_media", "not_found", "method_not_allowed"), path


@pytest.mark.attack("files are read or written without a token")
async def test_a_stranger_gets_and_leaves_nothing(world: World, alice: Person) -> None:
    path = f"/v1/media/{await uploaded(alice, b'x' * 10)}"
    for method, asked in (("GET", path), ("DELETE", path), ("POST", "/v1/media"), ("POST", UPLOADS)):
        status, body = await world.call(method, asked, headers=TUS, data=b"x" if method == "POST" else None)
        assert (status, body["code"]) == (401, "unauthenticated")


# --- tus ------------------------------------------------------------------------------------------


async def test_tuspy_uploads_and_resumes_unmodified(world: World, alice: Person) -> None:
    data = secrets.token_bytes(PART + 300_000)
    client = TusClient(world.addresses[0] + UPLOADS, headers={"Authorization": f"Bearer {alice.token}"})

    def upload() -> str:
        name = {"filename": "ü.png"}
        first = client.uploader(file_stream=io.BytesIO(data), chunk_size=400_000, metadata=name)
        first.upload(stop_at=800_000)
        again = client.uploader(file_stream=io.BytesIO(data), chunk_size=400_000, url=first.url)
        assert again.offset == 800_000
        again.upload()
        return str(again.url)

    url = await asyncio.to_thread(upload)
    assert (await ask(alice, "GET", f"/v1/media/{url.rpartition('/')[2]}", gateway=1)).body == data
    await asyncio.to_thread(lambda: client.uploader(file_stream=io.BytesIO(b"")).upload())


async def test_what_tus_promises(alice: Person) -> None:
    status = await ask(alice, "OPTIONS", UPLOADS)
    assert status.status == 204
    assert status.headers["Tus-Extension"] == "creation,expiration,termination"
    assert status.headers["Tus-Max-Size"] == str(QUOTA.file_bytes)
    upload = await begun(alice, 30)
    for at, gateway in ((0, 0), (10, 1), (20, 0)):
        assert await offset(alice, upload, gateway) == at
        answer = await append(alice, upload, b"0123456789", at, gateway)
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(at + 10))
        assert "GMT" in answer.headers["Upload-Expires"]
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert await offset(alice, upload) == 30, "also when it is whole: the last answer may be lost"
    assert (await ask(alice, "GET", upload.replace("/uploads", ""))).body == b"0123456789" * 3
    answer = await ask(alice, "POST", upload, **TUS, X_HTTP_Method_Override="DELETE")
    assert answer.status == 204
    assert (await ask(alice, "HEAD", upload, **TUS)).status == 404


@pytest.mark.attack("tus: lies about length, offset, version, type and metadata")
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Length": "-1"}, 400, "bad_request"),
        ({"Upload-Length": "1e3"}, 400, "bad_request"),
        ({"Upload-Length": "9" * 18}, 413, "too_large"),
        ({"Upload-Length": "9" * 5000}, 400, "bad_request"),
        ({"Upload-Length": str(QUOTA.file_bytes + 1)}, 413, "too_large"),
        ({"Upload-Defer-Length": "1"}, 400, "bad_request"),
        ({}, 400, "bad_request"),
        ({"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, 412, "tus_version"),
        ({"Upload-Length": "5", "Upload-Metadata": "a !!!"}, 400, "bad_request"),
        ({"Upload-Length": "5", "Upload-Metadata": "a Zm9v,a Zm9v"}, 400, "bad_request"),
        ({"Upload-Length": "5", "Upload-Metadata": ",,,"}, 400, "bad_request"),
        ({"Upload-Length": "5", "Upload-Metadata": "n " + "A" * 8000}, 400, "bad_request"),
    ],
)
async def test_an_upload_cannot_be_begun_with_lies(
    alice: Person, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await ask(alice, "POST", UPLOADS, **{**TUS, **headers})
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.attack("tus: an offset that the store has not, or a body beyond the length")
async def test_an_upload_goes_on_only_where_it_is(alice: Person) -> None:
    upload = await begun(alice, 20)
    await append(alice, upload, b"x" * 10, 0)

    async def body() -> AsyncIterator[bytes]:  # without a length
        yield b"y" * 5
        yield b"y" * 100

    for data, headers, code in (
        (b"y", {"Upload-Offset": "0"}, "offset_mismatch"),
        (b"y", {"Upload-Offset": "11"}, "offset_mismatch"),
        (b"y", {"Upload-Offset": "-10"}, "bad_request"),
        (b"y", {}, "bad_request"),
        (b"y" * 11, {"Upload-Offset": "10"}, "too_large"),
        (b"y", {"Upload-Offset": "10", "Content-Type": "text/plain"}, "unsupported_media_type"),
    ):
        assert (await ask(alice, "PATCH", upload, data, **{**CHUNK, **headers})).code == code
        assert await offset(alice, upload) == 10
    assert (await append(alice, upload, body(), 10)).code == "too_large"
    at = await offset(alice, upload)
    await append(alice, upload, b"y" * (20 - at), at)
    assert (await ask(alice, "GET", upload.replace("/uploads", ""))).body == b"x" * 10 + b"y" * 10


async def test_what_came_before_the_connection_broke_is_kept(alice: Person) -> None:
    upload = await begun(alice, 1_000_000)
    head = f"PATCH {upload} HTTP/1.1\r\nContent-Type: {CHUNK['Content-Type']}\r\nTus-Resumable: 1.0.0\r\n"
    async with raw(alice, head + "Upload-Offset: 0\r\nContent-Length: 1000000") as (_, writer):
        writer.write(b"z" * 300_000)
        await writer.drain()
        await asyncio.sleep(0.1)  # so that it is read before the reset, which drops what is not
    async with asyncio.timeout(5):
        while (at := await offset(alice, upload, 1)) == 0:
            await asyncio.sleep(0.02)
    assert 0 < at <= 300_000
    answer = await append(alice, upload, b"z" * (1_000_000 - at), at, 1)
    assert answer.headers["Upload-Offset"] == "1000000"
    assert (await ask(alice, "GET", upload.replace("/uploads", ""))).body == b"z" * 1_000_000


@pytest.mark.attack("an upload that drips, or stops and holds its place")
@pytest.mark.parametrize("pause_s", [0.05, 3600])
async def test_a_slow_upload_is_ended(alice: Person, pause_s: float) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 100)
            await asyncio.sleep(pause_s)

    async with raw(alice, "POST /v1/media HTTP/1.1\r\nContent-Length: 900000") as (reader, writer):
        dripping = asyncio.create_task(drip(writer))
        async with asyncio.timeout(4):
            answer = await reader.readuntil(b"\r\n\r\n")
        dripping.cancel()
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.attack("a reader that stops and holds its place")
async def test_a_reader_that_stops_is_ended(world: World, alice: Person) -> None:
    size, media = 16 * PART, world.gateways[0].collaborators.media
    path = f"/v1/media/{await uploaded(alice, b'x' * size)}"
    async with raw(alice, f"GET {path} HTTP/1.1") as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            while media._all["download"]:
                await asyncio.sleep(0.02)
            assert len(await reader.read(-1)) < size


@pytest.mark.attack("uploads of one user take every place")
async def test_one_user_holds_so_many_places(world: World, bob: Person) -> None:
    alice = await world.person(keys=False)  # whose places are freed a little later
    async with AsyncExitStack() as held:
        for _ in range(LIMITS.of_user):
            await held.enter_async_context(raw(alice, "POST /v1/media HTTP/1.1\r\nContent-Length: 90"))
        async with asyncio.timeout(3):
            while (answer := await ask(alice, "POST", "/v1/media", b"x")).status != 429:
                await asyncio.sleep(0.01)
        assert answer.code == "rate_limited"
        assert answer.headers["Retry-After"]
        assert (await ask(bob, "POST", "/v1/media", b"x")).status == 201


@pytest.mark.attack("a file is deleted while it is being read: no short file passes for the whole")
async def test_a_file_deleted_meanwhile_ends_early_and_shows_it(world: World, alice: Person) -> None:
    path = f"/v1/media/{await uploaded(alice, b'x' * (12 * PART))}"
    url, headers = world.addresses[0] + path, {"Authorization": f"Bearer {alice.token}"}
    async with world.http.get(url, headers=headers) as answer:
        await answer.content.readexactly(1000)
        assert (await ask(alice, "DELETE", path, gateway=1)).status == 204
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.attack("a file goes on being read or written by a session that was ended")
async def test_an_ended_session_stops_in_the_middle(world: World, alice: Person) -> None:
    person = await world.person(keys=False)
    path = f"/v1/media/{await uploaded(alice, b'x' * (12 * PART))}"
    headers = {"Authorization": f"Bearer {person.token}"}
    async with world.http.get(world.addresses[0] + path, headers=headers) as answer:
        await answer.content.readexactly(1000)
        assert (await ask(person, "DELETE", "/v1/sessions/current")).status == 204
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.attack("a body is announced as small and never ends, or as larger than allowed")
async def test_a_body_longer_than_allowed_is_refused_early(alice: Person) -> None:
    size = QUOTA.file_bytes + 1
    async with raw(alice, f"POST /v1/media HTTP/1.1\r\nContent-Length: {size}") as (reader, _):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    """A world of few transfers, which a page of another origin may call."""
    urls, few = Urls(mongo_url, redis_url), {"transfers": Limit(0.01, 4, "local")}
    async with running(urls, limits=few, api={"cors_origins": (ORIGIN,)}) as whole:
        yield whole


@pytest.mark.attack("ranges of a byte, each of which costs a part to open")
async def test_requests_for_small_ranges_are_limited(strict: World) -> None:
    person = await strict.person(keys=False)
    path = f"/v1/media/{await uploaded(person, b'x' * 1000)}"
    found = [await ask(person, "GET", path, Range="bytes=0-0") for _ in range(4)]
    assert [each.status for each in found] == [206, 206, 206, 429]
    assert found[-1].code == "rate_limited"


async def test_a_page_of_an_allowed_origin_may_use_tus(strict: World) -> None:
    names = "authorization,content-type,tus-resumable,upload-length,upload-offset,upload-metadata"
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": names}
    url, origin = strict.addresses[0] + UPLOADS, {"Origin": ORIGIN}
    async with strict.http.options(url, headers=origin | asked) as answer:
        assert answer.status == 200
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    async with strict.http.post(url, headers=origin | TUS) as answer:
        shown = answer.headers["Access-Control-Expose-Headers"]
    assert {"Location", "Upload-Offset", "Upload-Expires"} <= {each.strip() for each in shown.split(",")}
