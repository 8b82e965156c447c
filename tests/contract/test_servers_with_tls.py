"""Servers of one's own, with TLS: whoever is in between is found out before anything is said."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.doctor import reach
from cluster.local import passwords, specs
from cluster.local.servers import HOST, free_port
from roost.errors import Unavailable
from roost.tls import server_context
from storage.access import OPEN, Access
from storage.kafka_log import KafkaLogAdmin
from storage.kafka_log import admin as log_admin
from storage.keyring import KeyRing
from storage.mongo import MongoStore, driver
from storage.redis.store import RedisStore
from tests.authority import Authority, Terminator
from tests.contract.guarded import Guarded, access_of
from tests.real_servers import Servers

Ask = Callable[[str, Access], Awaitable[Any]]
"""Asks the server at ``host:port`` something."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def kafka(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> tuple[Guarded, int]:
    """A broker with a password that sends its clients to the port of what speaks TLS before it."""
    folder, port = tmp_path_factory.mktemp("kafka"), free_port()
    password = passwords.made(folder, "kafka")
    spec = specs.kfake(free_port(), folder, advertised=f"{HOST}:{port}", password=password)
    return Guarded(servers.start(spec), access_of(folder, "kafka")), port


async def _topics(address: str, access: Access) -> None:
    admin = KafkaLogAdmin(address, access=access)
    await admin.start()
    try:
        assert await admin.partitions("none") is None
    finally:
        await admin.close()


async def _ping_cache(address: str, access: Access) -> None:
    cache = RedisStore(f"rediss://{address}/0?ssl_cert_reqs=none&ssl_check_hostname=false", access=access)
    try:
        await cache.ping()
    finally:
        await cache.close()


class Case:
    """One server, and how it is asked."""

    def __init__(self, name: str, target: str, access: Access, port: int, ask: Ask) -> None:
        self.name, self._target, self.access, self._port, self.ask = name, target, access, port, ask

    def behind(self, certificate: Path | None, client_ca: Path | None = None) -> Terminator:
        """Return what speaks TLS before the server; without a certificate it speaks as the server does."""
        context = None if certificate is None else server_context(certificate, client_ca=client_ca)
        return Terminator(context, self._target, self._port)


@pytest.fixture(params=["kafka", "mongo-motor", "mongo-pymongo", "redis"])
def case(
    request: pytest.FixtureRequest, keyring: KeyRing, database: str, monkeypatch: pytest.MonkeyPatch
) -> Case:
    name, _, driver_name = request.param.partition("-")
    if name == "kafka":
        monkeypatch.setattr(log_admin, "REQUEST_TIMEOUT_MS", 500)
        broker, port = request.getfixturevalue("kafka")
        return Case(name, broker.address, replace(broker.access, tls=True), port, _topics)
    target = request.getfixturevalue(f"{name}_url").partition("://")[2]
    if name == "redis":
        return Case(name, target, OPEN, 0, _ping_cache)
    # A driver tries again until then, whatever is wrong with the certificate.
    monkeypatch.setitem(driver._OPTIONS, "serverSelectionTimeoutMS", 300)

    async def ping_store(address: str, access: Access) -> None:
        url = f"mongodb://{address}/?tls=true"
        store = MongoStore(url, database, driver_name, keyring, access=access)
        try:
            await store.ping()
        finally:
            await store.close()

    return Case(name, target, OPEN, 0, ping_store)


async def test_a_server_with_a_certificate_of_our_authority_is_asked(
    case: Case, authority: Authority
) -> None:
    async with case.behind(authority.signed("server")) as server:
        await case.ask(server.address, replace(case.access, ca=authority.file))
        assert server.met


@pytest.mark.attack("a server in between shows a certificate of an authority of its own")
async def test_an_unknown_authority_is_refused(case: Case, authority: Authority, stranger: Authority) -> None:
    async with case.behind(stranger.signed("server")) as server:
        await refused(case, server, authority)


@pytest.mark.attack("a server in between shows a good certificate of another machine")
async def test_a_certificate_of_another_name_is_refused(case: Case, authority: Authority) -> None:
    async with case.behind(authority.signed("other", host="10.9.8.7")) as server:
        await refused(case, server, authority)


@pytest.mark.attack("a stolen certificate is shown after its end")
async def test_an_expired_certificate_is_refused(case: Case, authority: Authority) -> None:
    async with case.behind(authority.signed("old", ends=dt.timedelta(minutes=-1))) as server:
        await refused(case, server, authority)


async def refused(case: Case, server: Terminator, authority: Authority) -> None:
    """Assert that the client breaks off in the handshake, and that operators are told why."""
    access = replace(case.access, ca=authority.file)
    with pytest.raises(Unavailable):
        await case.ask(server.address, access)
    why = await reach.failure(case.name, _url(case.name, server.address), replace(access, tls=True))
    assert "its certificate is not to be believed" in str(why)
    assert not server.met


@pytest.mark.attack("a server in between strips TLS, and answers in the clear")
async def test_a_server_without_tls_is_refused(case: Case, authority: Authority) -> None:
    async with case.behind(None) as server:
        access = replace(case.access, ca=authority.file)
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await case.ask(server.address, access)


@pytest.mark.attack("a client without a certificate, or with one of another authority, is served")
async def test_a_server_that_wants_a_certificate_gets_ours(
    case: Case, authority: Authority, stranger: Authority
) -> None:
    async with case.behind(authority.signed("server"), client_ca=authority.file) as server:
        access = replace(case.access, ca=authority.file)
        await case.ask(server.address, replace(access, certificate=authority.signed("roost")))
        for shown in (None, stranger.signed("roost")):
            with pytest.raises(Unavailable):
                await case.ask(server.address, replace(access, certificate=shown))


async def test_files_that_are_not_there_are_named(case: Case, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="files for TLS"):
        await case.ask("127.0.0.1:1", replace(case.access, ca=tmp_path / "none.pem"))


def _url(name: str, address: str) -> str:
    return {"kafka": address, "mongo": f"mongodb://{address}/?tls=true", "redis": f"rediss://{address}"}[name]
