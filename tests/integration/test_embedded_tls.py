"""Embedded servers that speak TLS: the roles are served, others are not, whatever password they know."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import psutil
import pytest

from cluster.consumers.fcm import FcmSender
from cluster.consumers.provider import Again, Provider, Sent
from cluster.consumers.webpush import WebPushSender
from cluster.local import embedded, passwords, specs
from cluster.local.embedded import Embedded
from cluster.local.server_tls import ServerTls, url_of
from cluster.local.servers import ServerFailed, free_port
from cluster.settings import Settings, WebPush
from roost.clock import now_ms
from roost.errors import Unavailable
from storage.access import Access
from storage.account_rows import Device
from storage.kafka_log import KafkaLogAdmin
from storage.kafka_log import admin as log_admin
from storage.keyring import KeyRing, fresh_secrets
from storage.mongo import MongoStore, driver
from storage.redis.store import RedisStore
from storage.subscriptions import SubscriptionKeys
from tests.browser_push import Browser
from tests.certificates import Issued
from tests.real_servers import Servers


def tls_of(issued: Issued, folder: Path) -> tuple[ServerTls, Settings]:
    """Return the files of a node, and the settings of a system that has them."""
    certificate, key = issued.pair("node", "127.0.0.1")
    node = {"ca": issued.ca, "certificate": certificate, "key": key, "embedded": True}
    settings = Settings.load({"data": folder, "node": node})
    tls = ServerTls.of(settings)
    assert tls is not None
    return tls, settings


async def ask_kafka(url: str, access: Access) -> None:
    admin = KafkaLogAdmin(url, access=access)
    await admin.start()
    try:
        assert await admin.partitions("none") is None
    finally:
        await admin.close()


async def ask_redis(url: str, access: Access) -> None:
    cache = RedisStore(url, access=access)
    try:
        await cache.ping()
    finally:
        await cache.close()


async def ask_mongo(url: str, access: Access) -> None:
    store = MongoStore(url, "none", "motor", KeyRing(fresh_secrets(now_ms=1)), access=access)
    try:
        await store.ping()
    finally:
        await store.close()


ASK: dict[str, Callable[[str, Access], Awaitable[Any]]] = {
    "kafka": ask_kafka,
    "mongo": ask_mongo,
    "redis": ask_redis,
}
MAKERS = {"kafka": partial(specs.kfake, sync=False), "mongo": specs.mongo, "redis": specs.redis}


async def is_served(name: str, url: str, access: Access) -> bool:
    """Ask a server; returns whether it answers."""
    try:
        await ASK[name](url, access)
    except Unavailable:
        return False
    return True


@pytest.mark.attack("the password of an embedded server, in the clear or without a certificate of the CA")
@pytest.mark.parametrize("name", ASK)
async def test_only_who_shows_a_certificate_is_served(
    servers: Servers, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, settings = tls_of(Issued(tmp_path / "certs"), tmp_path)
    word = passwords.made(tmp_path, name)
    server = servers.start(MAKERS[name](free_port(), tmp_path, password=word, tls=tls))
    address = server.spec.address
    access = passwords.security(settings, name).access()
    await ASK[name](url_of(name, address, tls), access)

    monkeypatch.setattr(log_admin, "REQUEST_TIMEOUT_MS", 500)
    monkeypatch.setitem(driver._OPTIONS, "serverSelectionTimeoutMS", 500)
    other = ServerTls(tls.ca, *Issued(tmp_path / "other").pair("node", "127.0.0.1"))
    encrypted = url_of(name, address, tls)
    strangers = {
        "cleartext": (url_of(name, address, None), Access(access.user, access.password)),
        "no certificate": (encrypted, replace(access, certificate=None, key=None)),
        "another CA's": (encrypted, replace(access, certificate=other.certificate, key=other.key)),
    }
    served = [how for how, (url, shown) in strangers.items() if await is_served(name, url, shown)]
    assert not served
    servers.stop(server)


@pytest.mark.parametrize("crash", [False, True])
def test_the_cache_ends_with_its_guard_and_is_started_again(
    servers: Servers, tmp_path: Path, *, crash: bool
) -> None:
    tls, _ = tls_of(Issued(tmp_path / "certs"), tmp_path)
    spec = specs.redis(free_port(), tmp_path, tls=tls)
    guard = servers.start(spec)
    [cache] = psutil.Process(guard.pid).children()
    (servers.kill if crash else servers.stop)(guard)
    psutil.wait_procs([cache], timeout=5)
    assert not cache.is_running()
    servers.stop(servers.start(spec))


def test_the_guard_ends_with_its_cache(servers: Servers, tmp_path: Path) -> None:
    tls, _ = tls_of(Issued(tmp_path / "certs"), tmp_path)
    guard = servers.start(specs.redis(free_port(), tmp_path, tls=tls))
    [cache] = psutil.Process(guard.pid).children()
    cache.kill()
    assert servers.ended(guard) == 1


async def test_pushes_go_to_who_has_the_certificate_and_to_no_one_else(tmp_path: Path) -> None:
    tls, settings = tls_of(Issued(tmp_path / "certs"), tmp_path)
    unheard, other = AsyncMock(), Issued(tmp_path / "other").ca
    parts = Embedded(settings, unheard, unheard, unheard, makers=[partial(embedded.fcm, tls=tls)])
    given = await parts.start()
    ring = KeyRing(fresh_secrets(now_ms()))
    browser = Browser(f"{parts.url('fcm')}/webpush/ann")
    keys = SubscriptionKeys.given(**browser.keys, vapid=ring.vapid_key().id)
    phone = Device("ann", "A", "phone", 0, push_provider="fcm", push_token="token")
    page = Device("ann", "B", "page", 0, None, "webpush", browser.endpoint, push_keys=keys.text)
    senders: tuple[tuple[Device, Provider, Provider], ...] = (
        (phone, FcmSender(given.fcm), FcmSender(given.fcm.model_copy(update={"ca": other}))),
        (page, browsers(given.webpush, ring), browsers(given.webpush, ring, ca=(other,))),
    )
    for device, mine, strangers in senders:
        assert await mine.send(device, urgent=True) == Sent()
        verdict = await strangers.send(device, urgent=True)
        assert isinstance(verdict, Again)
        assert "CERTIFICATE" in verdict.reason.upper()
        await mine.close()
        await strangers.close()
    await parts.stop()


def browsers(settings: WebPush, ring: KeyRing, **changes: Any) -> WebPushSender:
    return WebPushSender(settings.model_copy(update=changes), "mailto:ops@example.org", ring, now_ms)


def test_what_speaks_no_tls_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, _ = tls_of(Issued(tmp_path / "certs"), tmp_path)
    with pytest.raises(ServerFailed, match="Tansu speaks no TLS"):
        specs.broker("tansu", sync=True, tls=tls)
    monkeypatch.setattr(specs, "_executable", lambda *_: None)
    with pytest.raises(ServerFailed, match="roost-broker to speak TLS"):
        specs.redis(1, tmp_path, tls=tls)
