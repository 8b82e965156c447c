"""G5: whatever is logged and stored, none of it shows what a session must keep to itself."""

import asyncio
import base64
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from pymongo import AsyncMongoClient

from roost import client as sdk
from roost.client.transport import StreamTransport
from roost.wire import MSGPACK, ClientFrame, Send
from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(240)

PASSWORD = "Krummhoernchen-7751-flugs"
PLAINTEXT = "the heron lands at the old mill at nine"
PHONE = "+4915123987654"
EMAIL = "iris.nightingale@example.org"
PUSH_TOKEN = "fcm-registration-0f4c9e7d21ab88"
DEVICE = "Iris's folding telephone"
NAME = "Iris Philomena Nachtigall"
LATER_NAME = "Iris Nachtigall-Grasmuecke"
PASSWORD_HASH = b"$argon2id$"


class Tapped(StreamTransport):
    """Remembers the ciphertext that goes out."""

    payloads: list[bytes]

    def write(self, frames: list[ClientFrame]) -> None:
        self.payloads += [p for f in frames if isinstance(f, Send) for p in f.payloads.values()]
        super().write(frames)


@pytest.mark.attack(
    "find plaintext, keys or tokens in stores, pushes or logs",
    "nothing of them is written there",
)
async def test_a_session_at_debug_level_leaves_no_secret_behind(watched: System) -> None:
    system = watched
    secrets, payloads = await _session(system)
    assert len(payloads) >= 5
    stored = await _everything_in_mongo(system) + await _everything_in_redis(system)
    assert len(stored) > 20, "there is nothing to search"
    _assert_absent(secrets | {"password hash": PASSWORD_HASH}, "the stores", stored)
    names = {"the peer's username": b"otto", "the own username": b"iris"}
    for collection in ("conversations", "blocks", "sessions", "data_keys"):
        documents = await _everything_in_mongo(system, [collection])
        assert documents, f"there is nothing in {collection}"
        _assert_absent(names, collection, documents)
    pushes = [
        repr(push["message"]).encode().replace(PUSH_TOKEN.encode(), b"") for push in await system.pushes()
    ]
    assert pushes
    _assert_absent(secrets, "the pushes", pushes)
    logs = [file.read_bytes() for file in [*system.data.rglob("*.log"), system.folder / "up.log"]]
    assert b'"debug"' in b"".join(logs), "nothing was logged at debug level"
    _assert_absent(secrets | _ciphertexts(payloads) | _passwords_of_servers(system), "the logs", logs)
    await asyncio.to_thread(_search_folder, system.data, secrets)
    commands = [word.encode() for each in system.processes() for word in each.cmdline()]
    _assert_absent(secrets | _passwords_of_servers(system), "the list of processes", commands)
    ready = [repr(system.ready).encode(), (system.data / "run.json").read_bytes()]
    _assert_absent(_passwords_of_servers(system), "what tells others of the system", ready)


def _passwords_of_servers(system: System) -> dict[str, bytes]:
    files = [*(system.data / "passwords").iterdir()]
    assert len(files) == 3
    return {f"password of {each.name}": each.read_bytes().strip() for each in files}


async def _session(system: System) -> tuple[dict[str, bytes], list[bytes]]:
    """Run a session with every kind of secret in it."""
    secrets = {
        "password": PASSWORD.encode(),
        "plaintext": PLAINTEXT.encode(),
        "phone": PHONE.encode(),
        "e-mail": EMAIL.encode(),
        "push token": PUSH_TOKEN.encode(),
        "device name": DEVICE.encode(),
        "display name": NAME.encode(),
        "later display name": LATER_NAME.encode(),
    }
    payloads: list[bytes] = []
    heard: list[sdk.Event] = []
    async with sdk.connections() as http:
        contact = {"phone": PHONE, "email": EMAIL}
        account = {"username": "iris", "password": PASSWORD, "display_name": NAME, **contact}
        async with http.post(f"{system.http}/v1/accounts", json=account) as answer:
            assert answer.status == 201, await answer.text()

        def dial() -> StreamTransport:
            transport = Tapped(http, system.http, MSGPACK)
            transport.payloads = payloads
            return transport

        options = sdk.Options(device_name=DEVICE, transport=dial)
        iris = await sdk.Client.login(system.http, "iris", PASSWORD, http=http, options=options)
        otto = await sdk.Client.register(
            system.http, "otto", PASSWORD, http=http, options=sdk.Options(on_event=heard.append)
        )
        push = {"provider": "fcm", "token": PUSH_TOKEN}
        await otto.api.call("PUT", "/v1/devices/current/push", push)
        await iris.start()
        changed = await iris.api.call("PATCH", "/v1/me", {"display_name": LATER_NAME})
        assert changed["display_name"] == LATER_NAME
        for _ in range(5):
            await iris.send("otto", PLAINTEXT)
        await until(lambda: _until_pushed(system), within=60)
        await otto.start()
        await until(lambda: "" if _texts(heard) == [PLAINTEXT] * 5 else f"{heard}", within=60)
        secrets |= _tokens("first", iris) | _tokens("of otto", otto)
        await iris.api.refresh(iris.api.tokens.access)
        secrets |= _tokens("second", iris)
        await iris.api.call("PUT", "/v1/blocks/otto")
        await _wrong_requests(http, system, iris)
        await iris.close()
        await otto.logout()
    return secrets, payloads


async def _wrong_requests(http: Any, system: System, iris: sdk.Client) -> None:
    """Errors are what logs are most talkative about."""
    wrong = {"username": "iris", "password": PASSWORD + "x", "device": {"name": DEVICE}}
    bad = {"Authorization": f"Bearer {iris.api.tokens.access}x"}
    for method, path, body, headers in (
        ("POST", "/v1/sessions", wrong, {}),
        ("POST", "/v1/accounts", {"username": "iris", "password": PASSWORD, "phone": PHONE}, {}),
        ("POST", "/v1/sessions", {"password": PASSWORD}, {}),
        ("POST", "/v1/sessions/refresh", {"refresh_token": iris.api.tokens.refresh + "x"}, {}),
        ("GET", "/v1/me", None, bad),
    ):
        async with http.request(method, system.http + path, json=body, headers=headers) as answer:
            assert answer.status >= 400, path


async def _until_pushed(system: System) -> str:
    pushed = await system.pushes()
    return "" if any(push["token"] == PUSH_TOKEN for push in pushed) else f"pushes: {pushed}"


def _texts(heard: list[sdk.Event]) -> list[str]:
    return [event.text for event in heard if isinstance(event, sdk.MessageReceived)]


def _tokens(which: str, client: sdk.Client) -> dict[str, bytes]:
    tokens = client.api.tokens
    # The secret part of a refresh token; its family id stands in the logs and the store by design.
    secret = tokens.refresh.rpartition(".")[2]
    signature = tokens.access.rpartition(".")[2]
    return {f"refresh token, {which}": secret.encode(), f"access token, {which}": signature.encode()}


def _ciphertexts(payloads: list[bytes]) -> dict[str, bytes]:
    """Return the middle of each, as bytes, in hexadecimal, in base64 and as Python shows bytes."""
    forms = {}
    for number, payload in enumerate(payloads):
        part = payload[33:63]
        forms[f"ciphertext {number}"] = part
        forms[f"ciphertext {number} in hexadecimal"] = part.hex().encode()
        forms[f"ciphertext {number} in base64"] = base64.b64encode(part)
        forms[f"ciphertext {number} in Python"] = repr(part)[2:-1].encode()
    return forms


def _assert_absent(secrets: dict[str, bytes], where: str, texts: list[bytes]) -> None:
    found = {
        name: _around(text, secret) for name, secret in secrets.items() for text in texts if secret in text
    }
    assert not found, f"in {where}: {found}"


def _search_folder(folder: Path, secrets: dict[str, bytes]) -> None:
    """Search every file: those of the log, the store and the cache, with what they keep of older values."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    searched = 0
    for file in files:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            if size == 0:
                continue
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                found = [name for name, secret in secrets.items() if content.find(secret) >= 0]
        searched += size
        assert not found, f"in {file}: {found}"
    assert searched > 100_000, "there is nothing to search"


def _around(text: bytes, secret: bytes) -> bytes:
    at = text.index(secret)
    return text[max(0, at - 200) : at + len(secret) + 50]


async def _everything_in_mongo(system: System, names: Sequence[str] = ()) -> list[bytes]:
    found: list[bytes] = []
    async with AsyncMongoClient[dict[str, Any]](system.mongo) as mongo:
        for name in names or await mongo["roost"].list_collection_names():
            async for document in mongo["roost"][name].find():
                found.extend(_leaves(document))
    return found


def _leaves(value: object) -> Iterator[bytes]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(key)
            yield from _leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield value if isinstance(value, bytes) else str(value).encode()


async def _everything_in_redis(system: System) -> list[bytes]:
    found: list[bytes] = []
    async with redis.asyncio.Redis.from_url(system.redis) as cache:
        async for key in cache.scan_iter():
            found.append(key)
            dumped = await cache.dump(key)
            # `DUMP` compresses long values, so the value is read as what it is, too.
            found += [dumped or b"", *await _value(cache, key)]
    return found


async def _value(cache: Any, key: bytes) -> list[bytes]:
    match await cache.type(key):
        case b"string":
            return [await cache.get(key) or b""]
        case b"hash":
            return [part for pair in (await cache.hgetall(key)).items() for part in pair]
        case b"set":
            return list(await cache.smembers(key))
        case b"zset":
            return list(await cache.zrange(key, 0, -1))
        case b"list":
            return list(await cache.lrange(key, 0, -1))
        case other:
            raise AssertionError(f"a key of a type that is not searched: {other!r}")


async def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    await asyncio.sleep(0)
    with pytest.raises(AssertionError, match="password"):
        _assert_absent({"password": b"abc"}, "a text", [b"xx abc yy"])
    assert b"abc" in list(_leaves({"a": [{"b": "abc"}]}))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file.wt").write_bytes(b"\0" * 5000 + b"abc")
    with pytest.raises(AssertionError, match="password"):
        _search_folder(tmp_path, {"password": b"abc"})
