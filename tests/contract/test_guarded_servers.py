"""Another user of the machine at the embedded servers' ports: he reads nothing, and writes nothing."""

import asyncio
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from redis.exceptions import AuthenticationError, ResponseError

from cluster.local import passwords, servers, specs
from cluster.local.servers import ServerSpec
from roost.errors import Unavailable
from storage.access import OPEN, Access
from storage.access_denied import AccessDenied
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mongo import MongoStore, probe
from storage.mongo import inspection as store_inspection
from storage.mongo.driver import Driver
from storage.redis import inspection as cache_inspection
from storage.redis.store import RedisStore
from tests.contract.guarded import Guarded, access_of
from tests.real_servers import Servers

WRONG = "0" * 64


def wrong(guarded: Guarded) -> Access:
    return replace(guarded.access, password=WRONG)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def broker(
    running: Servers, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Guarded, Access]:
    """A broker in whose folder someone planted a user; and how that one signs in."""
    planted = tmp_path_factory.mktemp("planted")
    running.stop(running.start(_broker(folder, passwords.made(planted, "kafka"))))
    users = folder / specs.KEPT / "sasl.json"
    users.write_text(users.read_text().replace(f'"{passwords.USER}"', '"thief"'))
    assert "thief" in users.read_text()
    guarded = running.start(_broker(folder, passwords.made(folder, "kafka")))
    return Guarded(guarded, access_of(folder, "kafka")), replace(access_of(planted, "kafka"), user="thief")


def _broker(folder: Path, password: Path) -> ServerSpec:
    return specs.kfake(servers.free_port(), folder, password=password)


@pytest.fixture(scope="module")
def kafka(broker: tuple[Guarded, Access]) -> Guarded:
    return broker[0]


@pytest.fixture(scope="module")
def redis(running: Servers, folder: Path) -> Guarded:
    spec = specs.redis(servers.free_port(), folder, password=passwords.made(folder, "redis"))
    return Guarded(running.start(spec), access_of(folder, "redis"))


@pytest.fixture(scope="module")
def mongo(running: Servers, folder: Path) -> Guarded:
    """A store of before there were passwords, with a document and a user that someone planted."""
    port = servers.free_port()
    before = running.start(specs.mongo(port, folder))
    with MongoClient[dict[str, Any]](f"mongodb://{before.spec.address}") as client:
        client.roost.users.insert_one({"_id": "alice"})
        for name in ("thief", passwords.USER):
            client.admin.command("createUser", name, pwd="planted", roles=[{"role": "root", "db": "admin"}])
    running.stop(before)
    spec = specs.mongo(port, folder, password=passwords.made(folder, "mongo"))
    return Guarded(running.start(spec), access_of(folder, "mongo"))


@pytest.fixture(scope="module")
def running(servers: Servers) -> Servers:
    return servers


# --- the log --------------------------------------------------------------------------------------


async def test_the_user_of_the_log_writes_and_reads(kafka: Guarded) -> None:
    admin = KafkaLogAdmin(kafka.address, access=kafka.access)
    await admin.start()
    await admin.create("mailbox", 1)
    writer = KafkaLogWriter(kafka.address, access=kafka.access)
    await writer.start()
    assert await writer.append("mailbox", [(0, b"one")]) == [0]
    reader = KafkaLogReader(kafka.address, "mailbox", "routers", access=kafka.access)
    await reader.start()
    await reader.assign({0: 0})
    assert [each.value for each in (await reader.poll(wait_ms=5000, limit=10))[0]] == [b"one"]
    await reader.commit({0: 1})
    assert await reader.committed([0]) == {0: 1}
    for each in (reader, writer, admin):
        await each.close()


def clients(address: str, access: Access) -> list[Any]:
    return [
        KafkaLogAdmin(address, access=access),
        KafkaLogWriter(address, access=access, deadline_s=2),
        KafkaLogReader(address, "mailbox", "routers", access=access),
    ]


@pytest.mark.attack("a stranger reads the embedded log, and puts a record into it, without a password")
async def test_no_one_without_the_password_reads_or_writes_the_log(kafka: Guarded) -> None:
    for client in clients(kafka.address, OPEN):
        with pytest.raises(Unavailable):
            await client.start()


@pytest.mark.attack("a stranger guesses the embedded log's password, or offers it in the clear")
async def test_no_wrong_password_opens_the_log(kafka: Guarded) -> None:
    for access in (
        wrong(kafka),
        replace(kafka.access, mechanism="PLAIN"),
        replace(wrong(kafka), user="admin"),
    ):
        for client in clients(kafka.address, access):
            with pytest.raises(Unavailable):
                await client.start()


@pytest.mark.attack("a user planted in the embedded log before it had passwords comes back")
async def test_no_planted_user_of_the_log_comes_back(broker: tuple[Guarded, Access]) -> None:
    kafka, thief = broker
    for client in clients(kafka.address, thief):
        with pytest.raises(Unavailable):
            await client.start()


# --- the store ------------------------------------------------------------------------------------


async def test_a_store_of_before_there_were_passwords_keeps_what_it_has(
    mongo: Guarded, driver_name: Driver, keyring: KeyRing, database: str
) -> None:
    url = f"mongodb://{mongo.address}"
    store = MongoStore(url, database, driver_name, keyring, access=mongo.access)
    await store.prepare()
    await store.close()
    found = await store_inspection.inspect(url, database, driver_name, lambda: 0, mongo.access)
    assert not found.open
    assert mongo.server.spec.unhealthy is not None
    assert not await mongo.server.spec.unhealthy(mongo.server.spec.port)
    with signed_in(mongo) as client:
        assert client.roost.users.find_one() == {"_id": "alice"}


async def test_the_health_probe_is_let_in(mongo: Guarded) -> None:
    """Refused, it would never see that the store answers every read with an error."""
    for access, code in ((mongo.access, None), (wrong(mongo), 18)):
        scram = probe._Scram(passwords.USER, access.password or "")
        for _ in range(2):  # the second with the value that it kept
            reader, writer = await asyncio.open_connection(servers.HOST, mongo.server.spec.port)
            refused = await scram.refused(probe._Link(reader, writer))
            assert (refused or {}).get("code") == code
            writer.close()
            await writer.wait_closed()


def signed_in(mongo: Guarded, user: str = passwords.USER, password: str | None = None) -> Any:
    word = mongo.access.password if password is None else password
    return MongoClient[dict[str, Any]](f"mongodb://{mongo.address}", username=user, password=word)


ACTS: list[Callable[[Any], Any]] = [
    lambda client: client.roost.users.find_one(),
    lambda client: client.list_database_names(),
    lambda client: client.roost.users.insert_one({"_id": "mallory"}),
    lambda client: client.drop_database("roost"),
    lambda client: client.admin.command("createUser", "mallory", pwd="x", roles=["root"]),
    lambda client: client.admin.command("getLog", "global"),
]


@pytest.mark.attack("a stranger reads and changes the embedded store without a password")
def test_no_one_without_the_password_reads_or_changes_the_store(mongo: Guarded) -> None:
    with MongoClient[dict[str, Any]](f"mongodb://{mongo.address}") as client:
        for act in ACTS:
            with pytest.raises(OperationFailure, match="requires authentication"):
                act(client)


@pytest.mark.attack("a stranger guesses the embedded store's password")
async def test_no_wrong_password_opens_the_store(mongo: Guarded, keyring: KeyRing) -> None:
    url = f"mongodb://{mongo.address}"
    store = MongoStore(url, "roost", "pymongo", keyring, access=wrong(mongo))
    with pytest.raises(Unavailable):
        await store.mailboxes.cursors_of(["alice"])
    await store.close()
    with pytest.raises(AccessDenied):
        await store_inspection.inspect(url, "roost", "pymongo", lambda: 0, wrong(mongo))


@pytest.mark.attack("a user planted in the embedded store before it had passwords comes back")
def test_no_planted_user_outlives_the_first_password(mongo: Guarded) -> None:
    for name in ("thief", passwords.USER):
        with signed_in(mongo, name, "planted") as client, pytest.raises(OperationFailure):
            client.roost.users.find_one()


@pytest.mark.attack("whoever stole the store's password makes himself a user that outlives its change")
def test_the_stores_user_makes_no_users(mongo: Guarded) -> None:
    with signed_in(mongo) as client, pytest.raises(OperationFailure, match="not authorized"):
        client.admin.command("createUser", "mallory", pwd="x", roles=[{"role": "root", "db": "admin"}])


# --- the cache ------------------------------------------------------------------------------------


async def test_the_user_of_the_cache_may_do_what_roost_does(redis: Guarded, prefix: str) -> None:
    url = f"redis://{redis.address}/0"
    cache = RedisStore(url, prefix, access=redis.access)
    await cache.ping()
    assert await cache.take("sends", "alice", rate=1, burst=1) == 0
    await cache.publish("revoked", "x")
    assert await cache.claim_wakeup("d", 10, 1)
    await cache.close()
    found = await cache_inspection.inspect(url, lambda: 0, redis.access)
    assert (found.open, found.scripts) == (False, True)
    assert found.max_bytes


@pytest.mark.attack("a stranger reads the embedded cache without a password, or with a wrong one")
async def test_no_one_without_the_password_is_served_by_the_cache(redis: Guarded) -> None:
    for access in (OPEN, wrong(redis), replace(redis.access, user="default")):
        cache = RedisStore(f"redis://{redis.address}/0", access=access)
        for call in (cache.ping, lambda cache=cache: cache.recall([("DEVICE", "id")])):
            with pytest.raises(Unavailable) as refused:
                await call()
            assert isinstance(refused.value.__cause__, AuthenticationError)
        await cache.close()


FORBIDDEN = (
    ("CONFIG", "SET", "dir", "/tmp"),
    ("CONFIG", "GET", "*"),
    ("SAVE",),
    ("BGSAVE",),
    ("BGREWRITEAOF",),
    ("MODULE", "LOAD", "/tmp/evil.so"),
    ("DEBUG", "SLEEP", "9"),
    ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "10.0.0.1", "6379"),
    ("ACL", "SETUSER", "mallory", "on", "nopass", "+@all"),
    ("MONITOR",),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("KEYS", "*"),
)


@pytest.mark.attack("whoever stole the cache's password writes a file by CONFIG SET dir and SAVE")
@pytest.mark.parametrize("command", FORBIDDEN, ids=" ".join)
async def test_the_caches_user_may_not_reach_beyond_the_cache(
    redis: Guarded, command: tuple[str, ...]
) -> None:
    cache = RedisStore(f"redis://{redis.address}/0", access=redis.access)
    quoted = ", ".join(f"'{word}'" for word in command)
    script = f"return redis.call({quoted})"
    for asked in (command, ("EVAL", script, 0)):
        with pytest.raises(ResponseError, match=r"permission|not allowed"):
            await cache._redis.execute_command(*asked)
    await cache.close()


# --- what the machine shows -----------------------------------------------------------------------


@pytest.mark.attack("another user reads a password off the list of processes")
def test_no_password_is_in_a_command_or_its_variables(kafka: Guarded, redis: Guarded, mongo: Guarded) -> None:
    for guarded in (kafka, redis, mongo):
        process = psutil.Process(guarded.server.pid)
        shown = [*process.cmdline(), *process.environ().values()]
        assert not [each for each in shown if str(guarded.access.password) in each]


@pytest.mark.attack("another user reads the files that hold passwords")
def test_files_with_passwords_are_for_their_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)  # whatever the process's own is
    try:
        file = passwords.made(tmp_path, "redis")
        specs.redis(1, tmp_path, password=file)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (file.parent, file, tmp_path / "redis.conf")]
    assert modes == [0o700, 0o600, 0o600]


@pytest.mark.attack("another user reads the files of the embedded log and store, and their logs")
def test_files_of_the_servers_are_for_their_user_alone(
    folder: Path, kafka: Guarded, redis: Guarded, mongo: Guarded
) -> None:
    assert all(each.server.running for each in (kafka, redis, mongo))
    found = [*folder.iterdir(), *(folder / "mongo").iterdir(), *(folder / "kafka").iterdir()]
    assert len(found) > 20
    assert [each for each in found if each.stat().st_mode & 0o077] == []


def test_a_password_lasts(tmp_path: Path) -> None:
    first = passwords.made(tmp_path, "redis").read_text()
    assert passwords.made(tmp_path, "redis").read_text() == first
    assert passwords.made(tmp_path, "kafka").read_text() != first
