"""What is wrong with a bucket is said plainly: by each call, by `roost doctor`, and before a start."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.doctor import start
from cluster.doctor.media import media_store
from cluster.local.servers import HOST, free_port
from cluster.settings import Settings
from roost.cli.terminal import BAD_USAGE
from roost.errors import Unavailable
from storage.access import BucketAccess
from storage.access_denied import AccessDenied
from storage.blobs import StoredObjects
from storage.blobs.failures import BucketMissing, BucketUnusable
from tests.buckets.servers import Bucket

Call = Callable[[], Awaitable[Any]]


def calls(objects: StoredObjects) -> list[Call]:
    return [
        lambda: objects.put("a/0", b"x"),
        lambda: objects.get("a/0"),
        lambda: objects.delete(["a/0"]),
        lambda: objects.delete(["a/0", "a/1"]),
        lambda: objects.clear("a"),
    ]


async def each_fails(objects: StoredObjects, kind: type[Unavailable], saying: str | None = None) -> None:
    for call in calls(objects):
        with pytest.raises(kind, match=saying) as failure:
            await call()
        assert type(failure.value) is kind
        assert failure.value.__cause__ is None
        assert "//" not in failure.value.detail, "no address"


async def as_operators_see_it(
    tmp_path: Path, url: str, access: BucketAccess
) -> tuple[str, int | None, list[str]]:
    """Return what `roost doctor` says, and what `roost up` does: its exit code, and what it only says."""
    file = tmp_path / "options.json"
    file.touch(0o600)
    file.write_text(json.dumps(dict(access.options)))
    media = {"url": url, "options_file": str(file)} | ({} if access.ca is None else {"ca": str(access.ca)})
    settings = Settings.load({"media": media, "data": str(tmp_path / "data")})
    finding, said = await media_store(settings), list[str]()
    assert finding.state == "failed"
    refusal = await start.unusable_media(settings, said.append)
    for secret in ("secret_access_key", "account_key"):
        if secret in access.options:
            assert access.options[secret] not in f"{finding}{refusal}{said}"
    return f"{finding.detail} {finding.fix}", None if refusal is None else refusal.code, said


async def test_a_bucket_that_is_not_there(bucket: Bucket, tmp_path: Path) -> None:
    url = f"{bucket.scheme}://not-there/prefix"
    objects = StoredObjects(url, bucket.access)
    if bucket.scheme != "gs":  # where the server of these tests answers 500 to who lists such a bucket
        await each_fails(objects, BucketMissing)
    with pytest.raises(BucketMissing):
        await objects.put("a/0", b"x")
    told, code, _ = await as_operators_see_it(tmp_path, url, bucket.access)
    assert "no such bucket" in told
    assert "Make it, or correct ROOST_MEDIA__URL" in told
    assert code == BAD_USAGE


async def test_credentials_that_are_wrong(checking: list[Bucket], tmp_path: Path) -> None:
    for bucket in checking:
        name = "account_key" if bucket.scheme == "az" else "secret_access_key"
        access = bucket.changed(**{name: "AAAA"})
        await each_fails(StoredObjects(bucket.url, access), AccessDenied, "credentials")
        told, code, _ = await as_operators_see_it(tmp_path, bucket.url, access)
        assert "ROOST_MEDIA__OPTIONS_FILE" in told
        assert code == BAD_USAGE


@pytest.mark.attack("a stranger answers in the place of the bucket")
async def test_a_server_with_a_certificate_of_another_authority(bucket: Bucket, tmp_path: Path) -> None:
    access = BucketAccess(bucket.access.options)
    await each_fails(StoredObjects(bucket.url, access), BucketUnusable, "certificate")
    told, code, _ = await as_operators_see_it(tmp_path, bucket.url, access)
    assert "ROOST_MEDIA__CA" in told
    assert code == BAD_USAGE


async def test_a_server_that_is_away(bucket: Bucket, tmp_path: Path) -> None:
    access = bucket.at(f"{HOST}:{free_port()}")
    with pytest.raises(Unavailable, match="Nothing listens"):
        await StoredObjects(bucket.url, access).put("a/0", b"x")
    told, code, said = await as_operators_see_it(tmp_path, bucket.url, access)
    assert "correct its address in ROOST_MEDIA__OPTIONS" in told
    assert code is None, "messages go on without files"
    assert "no file can be sent or fetched" in said[0]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Serve every request with this answer; yields ``host:port``."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(served, HOST, port):
        yield f"{HOST}:{port}"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_has_too_much_to_do(plain_s3: Bucket, tmp_path: Path, status: int) -> None:
    async with answering(
        b"HTTP/1.1 %d Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    ) as at:
        access = plain_s3.at(at)
        with pytest.raises(Unavailable, match=f"answers {status}"):
            await StoredObjects(plain_s3.url, access).put("a/0", b"x")
        told, code, said = await as_operators_see_it(tmp_path, plain_s3.url, access)
    assert f"answers {status}" in told
    assert (code, len(said)) == (None, 1)


async def test_a_server_that_answers_once_it_has_been_asked_again(plain_s3: Bucket) -> None:
    """A moment of 503, as buckets that grow have, is nothing that anyone notices."""
    port, busy = free_port(), 3
    there, _, target = plain_s3.server.spec.address.partition(":")

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        head = await reader.readuntil(b"\r\n\r\n")
        if busy:
            busy -= 1
            writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            behind, ahead = await asyncio.open_connection(there, int(target))
            ahead.write(head + await reader.readexactly(1))
            writer.write(await behind.readuntil(b"\r\n\r\n"))
            ahead.close()
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(served, HOST, port):
        await StoredObjects(plain_s3.url, plain_s3.at(f"{HOST}:{port}")).put("once/0", b"x")
    assert busy == 0
    assert await StoredObjects(plain_s3.url, plain_s3.access).get("once/0") == b"x"


@pytest.mark.timeout(120)
async def test_a_server_that_hangs_is_given_up(s3: Bucket, tmp_path: Path) -> None:
    process, loop = psutil.Process(s3.server.pid), asyncio.get_running_loop()
    process.send_signal(signal.SIGSTOP)
    try:
        began = loop.time()
        with pytest.raises(Unavailable, match="does not answer within 30 s"):
            await StoredObjects(s3.url, s3.access).put("a/0", b"x")
        assert loop.time() - began < 35
        told, code, said = await as_operators_see_it(tmp_path, s3.url, s3.access)
    finally:
        process.send_signal(signal.SIGCONT)
    assert "does not answer within 10 s" in told
    assert (code, len(said)) == (None, 1)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"acces_key_id": "x"}, "acces_key_id"),
        ({"skip_signature": "perhaps"}, "perhaps"),
    ],
)
async def test_an_option_that_is_none(s3: Bucket, tmp_path: Path, options: dict[str, str], what: str) -> None:
    told, code, _ = await as_operators_see_it(tmp_path, s3.url, s3.changed(**options))
    assert what in told
    assert "Correct ROOST_MEDIA__OPTIONS" in told
    assert code == BAD_USAGE


@pytest.mark.attack("a downgrade to cleartext on the way to the bucket, by its variables or options")
async def test_no_variable_leads_to_a_bucket_without_tls(
    plain_s3: Bucket, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", plain_s3.access.options["endpoint"])
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ALLOW_INVALID_CERTIFICATES", "true")
    options = {name: value for name, value in plain_s3.access.options.items() if name != "endpoint"}
    await each_fails(StoredObjects(plain_s3.url, BucketAccess(options)), BucketUnusable, "without TLS")
    await each_fails(StoredObjects(s3.url, BucketAccess(s3.access.options)), BucketUnusable, "certificate")


async def test_credentials_of_the_environment(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(s3.access.options)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options.pop("access_key_id"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options.pop("secret_access_key"))
    objects = StoredObjects(s3.url, BucketAccess(options, s3.access.ca))
    await objects.put("env/0", b"x")
    assert await objects.get("env/0") == b"x"


async def test_credentials_that_a_container_is_given(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(s3.access.options)
    given = {
        "AccessKeyId": options.pop("access_key_id"),
        "SecretAccessKey": options.pop("secret_access_key"),
        "Token": "",
        "Expiration": "2100-01-01T00:00:00Z",
    }
    body = json.dumps(given).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with answering(head + body) as at:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{at}/creds")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/dev/null")
        objects = StoredObjects(s3.url, BucketAccess(options, s3.access.ca))
        await objects.put("pod/0", b"x")
        assert await objects.get("pod/0") == b"x"


async def test_no_credentials_at_all(s3: Bucket) -> None:
    options = dict(s3.access.options)
    del options["access_key_id"], options["secret_access_key"]
    async with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as at:
        options["metadata_endpoint"] = f"http://{at}"
        await each_fails(
            StoredObjects(s3.url, BucketAccess(options, s3.access.ca)), AccessDenied, "no credentials"
        )
