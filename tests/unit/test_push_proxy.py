"""Which proxy pushes and their credentials go through, and that both go the same way."""

import asyncio
import json
from pathlib import Path

import pytest

from cluster.consumers.fcm import FcmSender
from cluster.consumers.provider import Sent
from cluster.consumers.proxy import proxy_for
from cluster.local.fcm_endpoint import write_service_account
from cluster.settings import Fcm
from storage.account_rows import Device

PROXY = "http://proxy.example:3128"
GOOGLE = "https://fcm.googleapis.com/v1/projects"

CASES: dict[str, tuple[dict[str, str], str, str | None]] = {
    "none": ({}, GOOGLE, None),
    "of its scheme": ({"HTTPS_PROXY": PROXY}, GOOGLE, PROXY),
    "of its scheme, in small letters": ({"https_proxy": PROXY}, GOOGLE, PROXY),
    "of another scheme": ({"HTTP_PROXY": PROXY}, GOOGLE, None),
    "not for this host": ({"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example,.googleapis.com"}, GOOGLE, None),
    "loopback": ({"HTTP_PROXY": PROXY}, "http://127.0.0.1:8080/v1", None),
    "loopback, another of its addresses": ({"HTTP_PROXY": PROXY}, "http://127.4.5.6:8080/v1", None),
    "loopback in IPv6": ({"HTTP_PROXY": PROXY}, "http://[::1]:8080/v1", None),
    "loopback by name": ({"HTTP_PROXY": PROXY}, "http://localhost:8080/v1", None),
    "like loopback": ({"HTTP_PROXY": PROXY}, "http://localhost.example/v1", PROXY),
}


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(("environment", "url", "proxy"), CASES.values(), ids=CASES)
def test_the_proxy_for_a_url(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


async def test_pushes_and_credentials_go_through_the_same_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.split()[1])
        body = json.dumps({"access_token": "t", "expires_in": 60, "token_type": "Bearer"}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        monkeypatch.setenv("HTTP_PROXY", f"http://{host}:{port}")
        write_service_account(tmp_path / "account.json", "http://google.invalid")
        settings = Fcm(credentials_file=tmp_path / "account.json", endpoint="http://fcm.invalid")
        sender = FcmSender(settings)
        device = Device("ann", "A", "phone", 0, None, "fcm", "token")
        verdict = await sender.send(device, urgent=True)
        await sender.close()
    assert verdict == Sent()
    assert asked == [
        "http://google.invalid/token",
        "http://fcm.invalid/v1/projects/roost-embedded/messages:send",
    ]
