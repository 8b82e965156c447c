"""The sender of Web Push against push services: the embedded one, and some that strangers run."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cluster.consumers.provider import Again, PushRefused, Sent, Unregistered
from cluster.consumers.webpush import WebPushSender, connections, sender
from cluster.consumers.webpush.connections import Connections, PublicResolver
from cluster.local.fcm_endpoint import FcmEndpoint
from cluster.settings import WebPush
from roost.clock import now_ms
from roost.tls import client_context, server_context
from storage.account_rows import Device
from storage.keyring import KeyRing, fresh_secrets
from storage.subscriptions import SubscriptionKeys
from tests.authority import Authority
from tests.browser_push import Browser, decoded, signed_claims

SUBJECT = "mailto:ops@example.org"
LOOPBACK = "127.0.0.1"


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(fresh_secrets(now_ms()))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def subscribed(browser: Browser, ring: KeyRing) -> Device:
    keys = SubscriptionKeys.given(browser.keys["p256dh"], browser.keys["auth"], ring.vapid_key().id)
    return Device("ann", "A", "phone", 0, None, "webpush", browser.endpoint, push_keys=keys.text)


@asynccontextmanager
async def sending(
    ring: KeyRing, settings: WebPush, found: Connections | None = None
) -> AsyncIterator[WebPushSender]:
    made = WebPushSender(settings, SUBJECT, ring, now_ms, found)
    yield made
    await made.close()


# --- the embedded service ---------------------------------------------------------------------------


@pytest.fixture
async def embedded() -> AsyncIterator[str]:
    runner = web.AppRunner(FcmEndpoint(now_ms, anyone=True).app())
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    assert site._server is not None
    yield f"http://{LOOPBACK}:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    await runner.cleanup()


async def pushes(url: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/pushes") as answer:
        found: list[dict[str, Any]] = await answer.json()
    return found


async def behave(url: str, mode: str) -> None:
    async with aiohttp.ClientSession() as http:
        await http.post(f"{url}/behaviour", json={"mode": mode, "retry_after_s": 7})


@pytest.mark.attack("read a message in a push of Web Push", 'it says "sync" and nothing else, encrypted')
async def test_a_push_says_nothing_and_only_the_browser_can_open_it(embedded: str, ring: KeyRing) -> None:
    ann, bob = Browser(f"{embedded}/webpush/ann"), Browser(f"{embedded}/webpush/bob")
    async with sending(ring, WebPush(internal=(embedded,))) as made:
        assert await made.send(subscribed(ann, ring), urgent=True) == Sent()
        assert await made.send(subscribed(bob, ring), urgent=False) == Sent()
    first, second = await pushes(embedded)
    assert [first["token"], second["token"]] == [ann.endpoint, bob.endpoint]
    bodies = [decoded(each["message"]["body"]) for each in (first, second)]
    assert [ann.opened(bodies[0]), bob.opened(bodies[1])] == [b'{"roost":"sync"}'] * 2
    assert len(bodies[0]) == len(bodies[1])
    assert b"sync" not in bodies[0]
    headers = first["message"]["headers"]
    authorization = headers.pop("Authorization")
    assert headers == {
        "TTL": "2419200",
        "Urgency": "high",
        "Topic": "roost",
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
    }
    assert second["message"]["headers"]["Urgency"] == "normal"
    claims = signed_claims(authorization, ring.vapid_key().public)
    assert claims["aud"] == embedded
    assert claims["sub"] == SUBJECT
    assert 0 < claims["exp"] - now_ms() / 1000 <= 24 * 3600


async def test_what_the_service_says_counts(embedded: str, ring: KeyRing) -> None:
    device = subscribed(Browser(f"{embedded}/webpush/ann"), ring)
    async with sending(ring, WebPush(internal=(embedded,))) as made:
        for mode, verdict in (
            ("unregistered", Unregistered()),
            ("quota", Again(7.0, "429")),
            ("unavailable", Again(7.0, "503")),
            ("ok", Sent()),
        ):
            await behave(embedded, mode)
            assert await made.send(device, urgent=True) == verdict


@pytest.mark.attack("send pushes to a browser's subscription in this server's name", "a signature of its key")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Authorization": ""}, 403),
        ({"Authorization": "Bearer x"}, 403),
        ({"Authorization": "vapid t=a.b.c, k=AAAA"}, 403),
        ({"TTL": ""}, 400),
        ({"Content-Encoding": "aesgcm"}, 400),
    ],
)
async def test_the_embedded_service_checks_what_others_check(
    embedded: str, ring: KeyRing, change: dict[str, str], status: int
) -> None:
    async with sending(ring, WebPush(internal=(embedded,))) as made:
        service = WebPush(internal=(embedded,)).services.of(f"{embedded}/webpush/a")
        headers = made._headers(ring.vapid_key(), service, urgent=True)
    async with aiohttp.ClientSession() as http:
        for given, expected, size in (
            (headers, 201, 100),
            (headers, 413, 4097),
            (headers | change, status, 100),
        ):
            async with http.post(f"{embedded}/webpush/a", data=b"x" * size, headers=given) as answer:
                assert answer.status == expected, await answer.text()
        elsewhere = f"{embedded.replace(LOOPBACK, 'localhost')}/webpush/a"
        async with http.post(elsewhere, data=b"x", headers=headers) as answer:
            assert answer.status == 403, "the signature is for another service"


async def test_each_subscription_is_sent_to_with_the_key_that_it_was_made_with(
    embedded: str, ring: KeyRing
) -> None:
    before = subscribed(Browser(f"{embedded}/webpush/before"), ring)
    old = ring.vapid_key()
    ring._use(ring.secrets.rotated(["vapid"], now_ms()))
    after = subscribed(Browser(f"{embedded}/webpush/after"), ring)
    assert ring.vapid_key().public != old.public
    async with sending(ring, WebPush(internal=(embedded,))) as made:
        for device in (before, after):
            assert await made.send(device, urgent=True) == Sent()
        for push, key in zip(await pushes(embedded), (old, ring.vapid_key()), strict=True):
            signed_claims(push["message"]["headers"]["Authorization"], key.public)
        ring._use(ring.secrets.retired(old.id, now_ms()))
        assert isinstance(await made.send(before, urgent=True), Unregistered)
        assert await made.send(after, urgent=True) == Sent()


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_subscription_that_is_older_than_it_seems_is_sent_to(ring: KeyRing, status: int) -> None:
    """A browser registers again what it subscribed to before the key was replaced."""
    old = ring.vapid_key().public
    ring._use(ring.secrets.rotated(["vapid"], now_ms()))

    async def of_the_old_key(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = old.encode() in asked.heads[-1]
        writer.write(answer("201 Created" if taken else f"{status} No", "Connection: close"))
        await writer.drain()

    async with stranger(of_the_old_key) as (asked, port):
        assert await sent_to(port, ring) == Sent()
        assert asked.met == 2
        ring._use(ring.secrets.retired(ring.vapid_keys(ring.vapid_key().id)[1].id, now_ms()))
        assert type(await sent_to(port, ring)) is PushRefused
        assert asked.met == 3


@pytest.mark.parametrize(
    ("endpoint", "keys"),
    [("https://evil.example/x", None), ("http://127.0.0.1:1/x", None), (None, ""), (None, "{}")],
)
async def test_what_is_kept_is_looked_at_again(
    embedded: str, ring: KeyRing, endpoint: str | None, keys: str | None
) -> None:
    device = subscribed(Browser(endpoint or f"{embedded}/webpush/a"), ring)
    if keys is not None:
        device = Device("ann", "A", "phone", 0, None, "webpush", device.push_token, push_keys=keys)
    async with sending(ring, WebPush(internal=(embedded,))) as made:
        assert isinstance(await made.send(device, urgent=True), PushRefused)


# --- services of strangers ---------------------------------------------------------------------------

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class Stranger:
    """A server that answers as it likes; it counts who comes."""

    def __init__(self, answer: bytes | Answer) -> None:
        self._answer = answer
        self.met = 0
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(self._answer, bytes):
                writer.write(self._answer)
                await writer.drain()
            else:
                await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender has had enough
        finally:
            writer.transport.abort()


@asynccontextmanager
async def stranger(
    answer: bytes | Answer, host: str = LOOPBACK, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Stranger, int]]:
    found = Stranger(answer)
    server = await asyncio.start_server(found.serve, host, 0, ssl=context)
    async with server:
        yield found, server.sockets[0].getsockname()[1]


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


async def sent_to(port: int, ring: KeyRing) -> Any:
    origin = f"http://{LOOPBACK}:{port}"
    async with sending(ring, WebPush(internal=(origin,))) as made:
        return await made.send(subscribed(Browser(f"{origin}/a?b=%2F"), ring), urgent=True)


@pytest.mark.attack(
    "have a push service redirect the server to another address", "redirects are not followed"
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirection_is_not_followed(ring: KeyRing, status: int) -> None:
    async with stranger(answer("201 Created")) as (victim, other):
        away = answer(f"{status} Elsewhere", f"Location: http://{LOOPBACK}:{other}/admin")
        async with stranger(away) as (asked, port):
            verdict = await sent_to(port, ring)
    assert verdict == PushRefused(f"{status}: it redirects, which is not followed")
    assert (asked.met, victim.met) == (1, 0)


async def test_the_endpoint_is_asked_for_as_it_was_given(ring: KeyRing) -> None:
    async with stranger(answer("201 Created", "Set-Cookie: a=b")) as (asked, port):
        assert await sent_to(port, ring) == Sent()
    [head] = asked.heads
    assert head.startswith(b"POST /a?b=%2F HTTP/1.1\r\n")
    assert b"user-agent" not in head.lower()


async def _dripping(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\n")
    for number in range(1000):
        writer.write(f"X-{number}: x\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.05)


async def _silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


@pytest.mark.attack("answer a push byte by byte, for hours", "an answer has ten seconds altogether")
@pytest.mark.parametrize("slow", [_dripping, _silent])
async def test_an_answer_has_its_time(ring: KeyRing, monkeypatch: pytest.MonkeyPatch, slow: Answer) -> None:
    monkeypatch.setattr(connections, "TOTAL_S", 0.3)
    async with stranger(slow) as (_, port), asyncio.timeout(3):
        assert await sent_to(port, ring) == Again(reason=f"{LOOPBACK}: TimeoutError")


async def _endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    while True:
        writer.write(b"z" * 65_536)
        await writer.drain()


async def _stalled(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\n")
    await asyncio.sleep(60)


@pytest.mark.attack("answer a push with an endless body", "half a KiB of an error is read")
@pytest.mark.parametrize(("body", "read"), [(_endless, " " + "z" * 512), (_stalled, "")])
async def test_of_a_body_little_is_read(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch, body: Answer, read: str
) -> None:
    monkeypatch.setattr(sender, "_BODY_S", 0.3)
    async with stranger(body) as (_, port), asyncio.timeout(3):
        verdict = await sent_to(port, ring)
    assert verdict == PushRefused(f"400{read} (the request is not one that the service takes)")


@pytest.mark.attack("answer a push with a head without end", "4 KiB a line, 128 lines")
@pytest.mark.parametrize("head", ["X: " + "x" * 9_000, "\r\n".join(f"X-{n}: {'x' * 99}" for n in range(200))])
async def test_a_head_has_its_bounds(ring: KeyRing, head: str) -> None:
    async with stranger(answer("201 Created", head)) as (_, port):
        assert isinstance(await sent_to(port, ring), Again)


@pytest.mark.attack("write lines of one's own into the log by refusing a push", "printable characters only")
async def test_what_a_service_says_is_made_harmless(ring: KeyRing) -> None:
    said = b'no\r\n{"event": "forged"}\x1b[2J\xff'
    async with stranger(answer("400 Bad Request", body=said)) as (_, port):
        verdict = await sent_to(port, ring)
    assert isinstance(verdict, PushRefused)
    assert verdict.reason.startswith('400 no{"event": "forged"}[2J (')


@pytest.mark.attack("answer a push with a body that grows when it is unpacked", "nothing is unpacked")
async def test_a_packed_body_is_not_unpacked(ring: KeyRing) -> None:
    bomb = gzip.compress(b"z" * 10_000_000)
    async with stranger(answer("400 Bad Request", "Content-Encoding: gzip", body=bomb)) as (_, port):
        verdict = await sent_to(port, ring)
    assert isinstance(verdict, PushRefused)
    assert "zzz" not in verdict.reason


async def test_a_service_that_is_away_is_tried_again(ring: KeyRing) -> None:
    async with stranger(b"") as (_, port):
        assert isinstance(await sent_to(port, ring), Again)
    assert await sent_to(port, ring) == Again(reason=f"{LOOPBACK}: ClientConnectorError")


# --- names -------------------------------------------------------------------------------------------

NAME = "push.attacker.example"


class Names:
    """What a name leads to, one after the other; the last for ever."""

    def __init__(self, *addresses: str) -> None:
        self._addresses: Iterator[str] = iter(addresses)
        self._now = ""
        self.asked = 0

    def __call__(self, _host: str, port: int, *_: Any) -> list[Any]:
        self.asked += 1
        self._now = next(self._addresses, self._now)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self._now, port))]


@pytest.mark.attack(
    "have the server call its own network by a push service whose name leads there",
    "its address is looked at",
)
async def test_a_name_that_leads_inside_is_not_called(ring: KeyRing) -> None:
    async with stranger(answer("201 Created")) as (victim, port):
        settings = WebPush(hosts=(f"*:{port}",))
        found = Connections(4, resolver=PublicResolver(Names(LOOPBACK)))
        async with sending(ring, settings, found) as made:
            verdict = await made.send(subscribed(Browser(f"https://{NAME}:{port}/a"), ring), urgent=True)
    assert verdict == PushRefused(f"{NAME} leads to {LOOPBACK}, which is not public")
    assert victim.met == 0


@pytest.mark.attack(
    "let a name lead outside when it is checked and inside when it is called (DNS rebinding)",
    "it is resolved once, and what was looked at is connected to",
)
async def test_a_name_is_resolved_once(
    ring: KeyRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, inside = "127.0.0.2", "127.0.0.3"
    monkeypatch.setattr(connections, "is_public", lambda address: address == outside)
    authority = Authority(tmp_path)
    context = server_context(authority.signed("push", host=NAME))
    names = Names(outside, inside)
    closing = answer("201 Created", "Connection: close")
    async with stranger(closing, outside, context) as (asked, port):
        found = Connections(4, (), PublicResolver(names), client_context(authority.file))
        async with sending(ring, WebPush(hosts=(f"*:{port}",)), found) as made:
            device = subscribed(Browser(f"https://{NAME}:{port}/a"), ring)
            assert await made.send(device, urgent=True) == Sent()
            assert (names.asked, asked.met) == (1, 1)
            verdict = await made.send(device, urgent=True)
            assert verdict == PushRefused(f"{NAME} leads to {inside}, which is not public")
    assert (names.asked, asked.met) == (2, 1)


async def test_a_service_proves_its_name(
    ring: KeyRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "is_public", lambda _: True)
    authority = Authority(tmp_path)
    context = server_context(authority.signed("push", host="other.example"))
    async with stranger(answer("201 Created"), LOOPBACK, context) as (_, port):
        found = Connections(4, (), PublicResolver(Names(LOOPBACK)), client_context(authority.file))
        async with sending(ring, WebPush(hosts=(f"*:{port}",)), found) as made:
            verdict = await made.send(subscribed(Browser(f"https://{NAME}:{port}/a"), ring), urgent=True)
    assert isinstance(verdict, Again)
    assert "Certificate" in verdict.reason


@pytest.mark.attack(
    "pass as a public push service with a certificate of the operator's own authority",
    "that authority counts for internal services only",
)
async def test_the_operators_own_authority_counts_for_his_own_services(
    ring: KeyRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "is_public", lambda _: True)
    authority = Authority(tmp_path)
    taken = answer("201 Created")
    async with (
        stranger(taken, LOOPBACK, server_context(authority.signed("own"))) as (own, inside),
        stranger(taken, LOOPBACK, server_context(authority.signed("push", host=NAME))) as (public, outside),
    ):
        origin = f"https://{LOOPBACK}:{inside}"
        settings = WebPush(hosts=(f"*:{outside}",), internal=(origin,), ca=(authority.file,))
        mine = subscribed(Browser(f"{origin}/a"), ring)
        async with sending(ring, settings) as made:
            assert await made.send(mine, urgent=True) == Sent()
        async with sending(ring, settings.model_copy(update={"ca": ()})) as made:
            verdict = await made.send(mine, urgent=True)
            assert isinstance(verdict, Again)
            assert "Certificate" in verdict.reason
        found = Connections(4, settings.ca, PublicResolver(Names(LOOPBACK)))
        async with sending(ring, settings, found) as made:
            verdict = await made.send(subscribed(Browser(f"https://{NAME}:{outside}/a"), ring), urgent=True)
            assert isinstance(verdict, Again)
            assert "Certificate" in verdict.reason
    assert (own.met, public.met) == (1, 0)


async def test_a_proxy_of_the_environment_is_asked_and_resolves_the_name(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(LOOPBACK)
    async with stranger(answer("502 Bad Gateway")) as (proxy, port):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{port}")
        async with sending(ring, WebPush(), Connections(4, resolver=PublicResolver(names))) as made:
            device = subscribed(Browser("https://web.push.apple.com/a"), ring)
            assert isinstance(await made.send(device, urgent=True), Again)
    assert proxy.heads[0].startswith(b"CONNECT web.push.apple.com:443 ")
    assert names.asked == 0
