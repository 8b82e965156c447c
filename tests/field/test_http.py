"""HTTP as the world speaks it: probes, proxies, Java's client, lines that break, and those who mean harm."""

import asyncio
import http.client
import json
import re
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.live.running import System

PASSWORD: Final = "correct horse battery staple"
JSON: Final = "Content-Type: application/json\r\n"
H2C: Final = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
CHUNKED: Final = "Transfer-Encoding: chunked\r\n"
_ANSWER_S: Final = 15


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """A client's end of a TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def say(self, *parts: str | bytes) -> None:
        """Send each part in a packet of its own."""
        for part in parts:
            self.writer.write(part if isinstance(part, bytes) else part.encode())
            await self.writer.drain()
            await asyncio.sleep(0.05 if len(parts) > 1 else 0)

    async def hear(self, *, body: bool = True) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(_ANSWER_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            length = int(headers.get("content-length", 0)) if body else 0
            return Answer(int(first.split()[1]), headers, await self._reader.readexactly(length))

    async def ends(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(_ANSWER_S):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def line(system: System) -> AsyncIterator[Line]:
    place = urlsplit(system.http)
    tls = ssl.create_default_context() if place.scheme == "https" else None
    reader, writer = await asyncio.open_connection(place.hostname, place.port, ssl=tls)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()  # whatever the server has not read stays unsaid


def name() -> str:
    return f"u{secrets.token_hex(6)}"


def account(username: str) -> str:
    return json.dumps({"username": username, "password": PASSWORD})


def log_in(of: str) -> str:
    return json.dumps({**json.loads(of), "device": {"name": "x"}})


def post(path: str, body: str, *headers: str, length: int | None = None) -> str:
    size = f"Content-Length: {len(body) if length is None else length}\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: roost\r\n{JSON}{''.join(headers)}{size}\r\n{body}"


def in_chunks(path: str, body: str, *headers: str, end: str = "0\r\n\r\n") -> tuple[str, ...]:
    head = f"POST {path} HTTP/1.1\r\nHost: roost\r\n{JSON}{''.join(headers)}{CHUNKED}\r\n"
    return head, f"{len(body):x}\r\n{body}\r\n", end


async def exists(system: System, username: str) -> bool:
    async with line(system) as talk:
        await talk.say(post("/v1/sessions", log_in(account(username))))
        return (await talk.hear()).status == 201


async def signed_in(system: System) -> dict[str, Any]:
    async with line(system) as talk:
        username = name()
        await talk.say(post("/v1/accounts", account(username)))
        assert (await talk.hear()).status == 201
        await talk.say(post("/v1/sessions", log_in(account(username))))
        tokens: dict[str, Any] = (await talk.hear()).json
        return tokens


# --- 1: HEAD ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/status", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/static/page.js", 200),
        ("/.well-known/jwks.json", 200),
        ("/v1/me", 401),
        ("/v1/accounts", 405),
        ("/nothing", 404),
    ],
)
async def test_head_is_get_without_the_body(system: System, path: str, status: int) -> None:
    async with line(system) as talk:
        heads = []
        for method in ("HEAD", "GET"):
            await talk.say(f"{method} {path} HTTP/1.1\r\nHost: roost\r\n\r\n")
            heads.append(await talk.hear(body=method == "GET"))
    for told in heads:
        assert told.status == status
        assert int(told.headers["content-length"]) > 0
    assert heads[0].headers.keys() == heads[1].headers.keys()


async def test_a_load_balancers_probe_with_head(system: System) -> None:
    def probe() -> list[int]:
        place = urlsplit(system.http)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        client = kind(place.hostname or "", place.port, timeout=_ANSWER_S)
        found = []
        for path in ("/healthz", "/readyz", "/healthz"):  # on one connection
            client.request("HEAD", path)
            answer = client.getresponse()
            assert answer.read() == b""
            found.append(answer.status)
        client.close()
        return found

    assert await asyncio.to_thread(probe) == [200] * 3


# --- 2: offers of HTTP/2 ------------------------------------------------------------------------

OFFERS: Final = {
    "in one packet": lambda body: (post("/v1/accounts", body, H2C),),
    "in two": lambda body: (post("/v1/accounts", "", H2C, length=len(body)), body),
    "in chunks": lambda body: in_chunks("/v1/accounts", body, H2C),
    "another protocol": lambda body: (
        post("/v1/accounts", body, "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n"),
    ),
    "several": lambda body: (post("/v1/accounts", body, "Connection: Upgrade\r\nUpgrade: h2c, foo/2\r\n"),),
}


@pytest.mark.parametrize("said", OFFERS.values(), ids=OFFERS)
async def test_an_offer_of_another_protocol_costs_no_body(system: System, said: Any) -> None:
    async with line(system) as talk:
        for _ in range(2):
            username = name()
            await talk.say(*said(account(username)))
            told = await talk.hear()
            assert (told.status, told.json.get("username")) == (201, username)


# --- 3: requests that break off -----------------------------------------------------------------

BROKEN: Final[dict[str, Callable[[str], tuple[str, ...]]]] = {
    "a length too large": lambda body: (post("/v1/accounts", body, length=len(body) + 50),),
    "no last chunk": lambda body: in_chunks("/v1/accounts", body, end=""),
    "within the last chunk": lambda body: in_chunks("/v1/accounts", body, end="5\r\n  "),
    "before the body ends": lambda body: (post("/v1/accounts", body + " ")[:-1],),
    "HTTP/1.0": lambda body: (post("/v1/accounts", body, length=999).replace("HTTP/1.1", "HTTP/1.0"),),
    "with an offer": lambda body: (post("/v1/accounts", body, H2C, length=len(body) + 50),),
    "behind another": lambda body: (
        "GET /healthz HTTP/1.1\r\nHost: roost\r\n\r\n" + post("/v1/accounts", body, length=len(body) + 50),
    ),
}


@pytest.mark.parametrize("ended", ["closed", "reset"])
async def test_a_request_that_breaks_off_is_not_carried_out(system: System, ended: str) -> None:
    usernames = {case: name() for case in BROKEN}
    for case, said in BROKEN.items():
        async with line(system) as talk:
            await talk.say(*said(account(usernames[case])))
            await asyncio.sleep(0.1)
            if ended == "closed":
                talk.writer.write_eof()
                await talk.ends()
            else:
                talk.writer.transport.abort()
    await asyncio.gather(*(signed_in(system) for _ in range(8)))  # both gateways do these after the others
    assert [case for case, username in usernames.items() if await exists(system, username)] == []


# --- 4: heads without bounds, and bodies of strangers -------------------------------------------

LARGE: Final = {
    "one long header": f"X: {'x' * 40_000}\r\n",
    "many headers": "".join(f"x-{number}: 1\r\n" for number in range(200)),
    "a long cookie": f"Cookie: {'a=b; ' * 10_000}\r\n",
}


@pytest.mark.parametrize("header", LARGE.values(), ids=LARGE)
async def test_a_head_has_bounds(system: System, header: str) -> None:
    async with line(system) as talk:
        await talk.say(f"GET /healthz HTTP/1.1\r\nHost: roost\r\n{header}\r\n")
        told = await talk.hear()
        assert (told.status, told.json["code"]) == (431, "headers_too_large")
        assert told.headers["content-type"] == "application/problem+json"
        await talk.ends()


@pytest.mark.attack("send a head that never ends to a running system", "bytes and time")
async def test_a_head_that_never_ends_is_cut_off(system: System) -> None:
    async with line(system) as talk:
        await talk.say("GET /healthz HTTP/1.1\r\nHost: roost\r\nX: ")
        with pytest.raises(ConnectionError):
            await talk.say(*[b"x" * 65_536] * 200)


@pytest.mark.attack("have a stranger's body awaited and parsed", "the token is looked at before the body")
@pytest.mark.parametrize("token", ["", "Authorization: Bearer rubbish\r\n", "Authorization: Basic YTpi\r\n"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/keys/upload", "/v1/keys/query", "/v1/acks"])
async def test_a_strangers_body_is_not_awaited(system: System, path: str, token: str) -> None:
    async with line(system) as talk:
        await talk.say(post(path, "", token, length=60_000))
        told = await talk.hear()
        assert (told.status, told.json["code"]) == (401, "unauthenticated")


@pytest.mark.attack("add headers behind the body", "they are none of the request")
async def test_what_follows_a_body_is_no_header(system: System) -> None:
    token = (await signed_in(system))["access_token"]
    said = in_chunks("/v1/acks", '{"seq": 0}', end=f"0\r\nAuthorization: Bearer {token}\r\n\r\n")
    async with line(system) as talk:
        await talk.say("".join(said))
        assert (await talk.hear()).status == 401


@pytest.mark.attack(
    "be told to go on with a body as a stranger",
    "100 Continue comes after the token was verified",
)
async def test_an_expectation_is_not_met_for_a_stranger(system: System) -> None:
    async with line(system) as talk:
        await talk.say(post("/v1/messages", "", "Expect: 100-continue\r\n", length=60_000))
        assert (await talk.hear()).status == 401
    async with line(system) as talk:
        username = name()
        body = account(username)
        await talk.say(post("/v1/accounts", "", "Expect: 100-continue\r\n", length=len(body)))
        assert (await talk.hear()).status == 100
        await talk.say(body)
        assert (await talk.hear()).status == 201


# --- 5: pings -----------------------------------------------------------------------------------


@pytest.mark.attack("fill a running gateway with pings", "one pong is owed")
async def test_pings_of_a_client_that_reads_nothing_cost_nothing(system: System) -> None:
    gateways = [psutil.Process(row["pid"]) for row in await system.roles("gateway")]
    before = sum(each.memory_info().rss for each in gateways)
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    async with line(system) as talk:
        upgrade = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{key}"
        await talk.say(f"GET /v1/stream HTTP/1.1\r\nHost: roost\r\n{upgrade}\r\n")
        assert (await talk.hear(body=False)).status == 101
        pings = (b"\x89\xfd\0\0\0\0" + b"x" * 125) * 8_000
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        # The kernel holds some 10 MB of the pings on their way. Of the answers it is to hold little.
        talk.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            async with asyncio.timeout(15):
                for _ in range(28):
                    await talk.say(pings)
        except (ConnectionError, TimeoutError):
            pass  # it may be closed, or not be read
        assert sum(each.memory_info().rss for each in gateways) - before < 6 * 1024 * 1024


# --- 6: what one client makes the others pay for (more in tests/integration/test_api_costs.py) ---


async def test_few_long_polls_of_one_device_wait(system: System) -> None:
    tokens = await signed_in(system)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(system.http, headers=bearer, connector=connector) as client:

        async def poll() -> Any:
            async with client.get("/v1/sync?wait_s=60") as answer:
                return answer.status, await answer.json()

        polls = [asyncio.create_task(poll()) for _ in range(30)]
        ended: set[asyncio.Task[Any]] = set()
        async with asyncio.timeout(_ANSWER_S):
            while len(ended) < 26:
                left = [each for each in polls if each not in ended]
                ended |= (await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED))[0]
        assert [(status, page["entries"]) for status, page in map(asyncio.Task.result, ended)] == [
            (200, [])
        ] * 26
        for each in polls:
            each.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def test_log_ins_of_one_address_do_not_hold_up_anothers(system: System) -> None:
    ended: list[str] = []

    async def log_in_from(address: str, count: int) -> None:
        connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
        async with aiohttp.ClientSession(system.http, connector=connector) as client:

            async def once() -> None:
                body = {"username": name(), "password": PASSWORD, "device": {"name": "x"}}
                async with client.post("/v1/sessions", json=body) as answer:
                    assert answer.status == 401, await answer.text()
                ended.append(address)

            await asyncio.gather(*(once() for _ in range(count)))

    async with asyncio.TaskGroup() as group:
        group.create_task(log_in_from("127.0.0.2", 60))
        async with asyncio.timeout(_ANSWER_S):
            while not ended:  # the others are in line
                await asyncio.sleep(0.01)
        group.create_task(log_in_from("127.0.0.1", 1))
    # In one line for all it would be the last, or pass the few that are hashed beside it.
    assert ended.index("127.0.0.1") < 55


# --- 7: pages and tokens ------------------------------------------------------------------------


@pytest.mark.attack(
    "frame the page of a running system: {row}",
    "Content-Security-Policy: frame-ancestors 'none'",
)
@pytest.mark.parametrize("path", ["/", "/status", "/docs"])
async def test_a_page_is_not_framed_and_loads_nothing_from_elsewhere(system: System, path: str) -> None:
    async with aiohttp.ClientSession(system.http) as http_, http_.get(path) as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert loaded
    assert not [each for each in loaded if "//" in each]


@pytest.mark.attack("have a proxy keep an answer with tokens", "Cache-Control: no-store")
async def test_answers_with_tokens_are_not_stored(system: System) -> None:
    async with line(system) as talk:
        body = account(name())
        told = []
        await talk.say(post("/v1/accounts", body))
        told.append(await talk.hear())
        await talk.say(post("/v1/sessions", log_in(body)))
        told.append(await talk.hear())
        await talk.say(
            post("/v1/sessions/refresh", json.dumps({"refresh_token": told[1].json["refresh_token"]}))
        )
        told.append(await talk.hear())
        bearer = f"Authorization: Bearer {told[2].json['access_token']}\r\n"
        await talk.say(f"GET /v1/me HTTP/1.1\r\nHost: roost\r\n{bearer}\r\n")
        told.append(await talk.hear())
    assert [(each.status, each.headers["cache-control"]) for each in told] == [
        (201, "no-store"),
        (201, "no-store"),
        (200, "no-store"),
        (200, "no-store"),
    ]


# --- 8: claims ----------------------------------------------------------------------------------


async def test_a_claim_may_name_devices_that_do_not_exist(system: System) -> None:
    tokens = await signed_in(system)
    address = f"@{tokens['username']}:{system.ready['server_name']}"
    named = {f"DEVICE{number:04}": "signed_curve25519" for number in range(900)}
    bearer = f"Authorization: Bearer {tokens['access_token']}\r\n"
    async with line(system) as talk:
        await talk.say(post("/v1/keys/claim", json.dumps({"one_time_keys": {address: named}}), bearer))
        told = await talk.hear()
    assert (told.status, told.json) == (200, {"one_time_keys": {address: {}}, "failures": {}})
