"""The gateway's port over TLS: what it speaks, what it refuses, and certificates replaced while it runs."""

import asyncio
import datetime as dt
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.http.middleware import Middleware
from api.listener import Listen, Server, bind
from api.server.limits import LIMITS
from cluster.certificates import Purpose
from roost import tls_files
from roost.client import Client, Options, connections
from roost.client.transport.http import Api
from roost.clock import now_ms
from roost.errors import Unavailable
from telemetry.gateway_metrics import GatewayMetrics
from tests.certificates import NOW, Issued

HOST = "127.0.0.1"
Address = tuple[str, int]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests with their scheme, and WebSockets with what they say."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{scope['scheme']} {message['text']}"})
        return
    body = scope["scheme"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    made = Issued(tmp_path / "certs")
    made.pair("gateway", HOST, "localhost", purpose=Purpose.SERVER)
    return made


@pytest.fixture
async def address(issued: Issued) -> AsyncIterator[Address]:
    """Serve with the gateway's certificate."""
    app = Middleware(answer, streams=None, metrics=GatewayMetrics(), hsts_s=60)  # type: ignore[arg-type]  # no stream is opened
    listener = bind(HOST, 0)
    server = Server(app, Listen(HOST, 0, *issued.pair("gateway")))
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready()
    yield listener.getsockname()
    server.should_exit = True
    await serving


def trusting(issued: Issued) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(issued.ca))


async def serial(address: Address, issued: Issued) -> str:
    """Return the number of the certificate that is shown."""
    _, writer = await asyncio.open_connection(*address, ssl=trusting(issued))
    found: str = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
    writer.close()
    return found


async def test_requests_and_streams_are_encrypted(address: Address, issued: Issued) -> None:
    url = f"https://{HOST}:{address[1]}/page"
    async with connections(issued.ca) as http:
        async with http.get(url) as got:
            assert await got.text() == "https"
            assert got.headers["Strict-Transport-Security"] == "max-age=60"
        async with http.ws_connect(url) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "wss hello"


async def test_browsers_are_not_told_on_unencrypted_connections() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = Middleware(answer, streams=None, metrics=GatewayMetrics(), hsts_s=60)  # type: ignore[arg-type]  # likewise
    await app({"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": []}, None, send)  # type: ignore[arg-type]  # nothing is received
    assert b"strict-transport-security" not in dict(sent[0]["headers"])


@pytest.mark.attack("plaintext HTTP to the port of the API's TLS")
async def test_plaintext_is_refused(address: Address) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(5):
        said = await reader.read()
    writer.close()
    assert b"HTTP" not in said


def offering(
    issued: Issued, *, oldest: ssl.TLSVersion, newest: ssl.TLSVersion, ciphers: str
) -> ssl.SSLContext:
    context = trusting(issued)
    context.set_ciphers(ciphers + ":@SECLEVEL=0")
    context.minimum_version, context.maximum_version = oldest, newest
    return context


@pytest.mark.attack("a downgrade of the API's TLS to 1.1")
async def test_old_versions_are_refused(address: Address, issued: Issued) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old = offering(issued, oldest=ssl.TLSVersion.TLSv1, newest=ssl.TLSVersion.TLSv1_1, ciphers="ALL")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*address, ssl=old)


@pytest.mark.attack("a weak cipher offered to the API")
@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
async def test_weak_ciphers_are_refused(address: Address, issued: Issued, ciphers: str) -> None:
    """They have no authenticated encryption."""
    v12 = ssl.TLSVersion.TLSv1_2
    weak = offering(issued, oldest=v12, newest=v12, ciphers=ciphers)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*address, ssl=weak)
    good = offering(issued, oldest=v12, newest=v12, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    _, writer = await asyncio.open_connection(*address, ssl=good)
    writer.close()


@pytest.mark.attack("a stalled handshake of TLS with the API")
async def test_a_stalled_handshake_is_ended(issued: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.listener.LIMITS", LIMITS.__class__(tls_s=0.1))
    listener = bind(HOST, 0)
    server = Server(answer, Listen(HOST, 0, *issued.pair("gateway")))
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(struct.pack(">BHH", 22, 0x0301, 512))
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    server.should_exit = True
    await serving


# --- certificates that are replaced ---------------------------------------------------------------


async def test_a_renewed_certificate_is_shown_and_no_socket_is_dropped(
    address: Address, issued: Issued
) -> None:
    url = f"https://{HOST}:{address[1]}/page"
    async with connections(issued.ca) as http, http.ws_connect(url) as socket:
        before = await serial(address, issued)
        with capture_logs() as lines:
            issued.renewed("gateway")
            assert await serial(address, issued) != before
        assert "certificate_reloaded" in [line["event"] for line in lines]
        await socket.send_str("still")
        assert await socket.receive_str() == "wss still"


@pytest.mark.attack("a broken certificate put in place of the API's")
@pytest.mark.parametrize("spoil", ["noise", "another key", "no key", "no certificate", "an encrypted key"])
async def test_a_broken_certificate_is_said_and_the_old_one_kept(
    address: Address, issued: Issued, spoil: str
) -> None:
    before, (certificate, key) = await serial(address, issued), issued.pair("gateway")
    with capture_logs() as lines:
        match spoil:
            case "noise":
                certificate.write_text("-----BEGIN CERTIFICATE-----\nnoise\n-----END CERTIFICATE-----\n")
            case "another key":
                key.write_bytes(issued.pair("other", HOST)[1].read_bytes())
            case "no key":
                key.unlink()
            case "no certificate":
                certificate.unlink()
            case _:
                key.write_text(_ENCRYPTED)
        for _ in range(3):
            assert await serial(address, issued) == before
    told = [line for line in lines if line["event"] == "certificate_unusable"]
    assert len(told) == 1, "once, not for each connection"
    assert told[0]["log_level"] == "error"


async def test_a_mended_certificate_is_taken_again(address: Address, issued: Issued) -> None:
    certificate, key = issued.pair("gateway")
    good = certificate.read_bytes(), key.read_bytes()
    before = await serial(address, issued)
    certificate.write_text("noise")
    assert await serial(address, issued) == before
    certificate.write_bytes(good[0])
    issued.renewed("gateway")
    assert await serial(address, issued) != before


def test_a_certificate_that_is_broken_at_the_start_is_no_start(tmp_path: Path) -> None:
    (tmp_path / "noise.crt").write_text("noise")
    with pytest.raises(ssl.SSLError):
        tls_files.followed_server_context(tmp_path / "noise.crt")


_ENCRYPTED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAh7b1bq1vT2fAICCAAw
DAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQIYJ0p0Q8fO7EEgZA=
-----END ENCRYPTED PRIVATE KEY-----
"""

# --- clients --------------------------------------------------------------------------------------


def show(issued: Issued, other: tuple[Path, Path]) -> None:
    """Put another certificate in place of the gateway's."""
    for old, new in zip(other, issued.pair("gateway"), strict=True):
        new.write_bytes(old.read_bytes())


async def refused(address: Address, ca: Path | None) -> str:
    """Return why a client of the SDK does not believe the server."""
    async with connections(ca) as http:
        api = Api(f"https://{HOST}:{address[1]}", http, now_ms)
        with pytest.raises(Unavailable) as caught:
            await api.bare("GET", "/v1/config")
        return caught.value.detail


@pytest.mark.attack("a server with a certificate of an unknown CA, to the SDK")
async def test_a_client_believes_no_unknown_ca(address: Address, tmp_path: Path) -> None:
    assert "--ca" in await refused(address, None)
    assert "--ca" in await refused(address, Issued(tmp_path / "other").ca)


@pytest.mark.attack("a server with a certificate for another name, to the SDK")
async def test_a_client_believes_no_other_name(address: Address, issued: Issued) -> None:
    show(issued, issued.pair("elsewhere", "elsewhere.example.org", purpose=Purpose.SERVER))
    assert "IP address mismatch" in await refused(address, issued.ca)


@pytest.mark.attack("a server with an expired certificate, to the SDK")
async def test_a_client_believes_no_expired_certificate(address: Address, issued: Issued) -> None:
    expired = issued.pair("expired", HOST, purpose=Purpose.SERVER, now=NOW - dt.timedelta(days=91))
    show(issued, expired)
    assert "expired" in await refused(address, issued.ca)


@pytest.mark.attack("a certificate for clients shown by a server, to the SDK")
async def test_a_client_believes_no_certificate_for_clients(address: Address, issued: Issued) -> None:
    other = issued.pair("prometheus", HOST, purpose=Purpose.CLIENT)
    show(issued, other)
    assert "not believed" in await refused(address, issued.ca)


async def test_a_program_gives_the_ca_by_options(address: Address, issued: Issued) -> None:
    with pytest.raises(Unavailable, match="not believed"):
        await Client.register(f"https://{HOST}:{address[1]}", "alice", "a password of hers")
    # The server here is none of ours; its certificate is believed, its answer is not.
    with pytest.raises(Unavailable, match=r"^(?!.*not believed)"):
        await Client.register(
            f"https://{HOST}:{address[1]}", "alice", "a password of hers", options=Options(ca=issued.ca)
        )
