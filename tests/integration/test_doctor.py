"""``roost doctor`` against real servers: each planted fault is found by its check alone, with its fix."""

import asyncio
import datetime as dt
import json
import resource
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import structs

from cluster.doctor.finding import Finding
from cluster.doctor.visit import examine
from cluster.local import specs
from cluster.local.fcm_endpoint import write_service_account
from cluster.local.servers import HOST, accepts, free_port
from cluster.settings import Settings
from roost.cli import command_line
from roost.clock import now_ms
from storage.account_rows import Device
from storage.cluster_rows import LogState
from storage.kafka_log import KafkaLogAdmin
from storage.keyring import KeyRing, fresh_secrets
from storage.mongo.store import MongoStore
from tests.real_servers import Servers

SHARDS = 4
NAME = "chat.example.org"


@pytest.fixture(scope="module")
def kafka(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A broker whose topics are those of an installation with four shards."""
    address = servers.start(specs.kfake(free_port(), tmp_path_factory.mktemp("kafka"))).spec.address
    asyncio.run(make_topics(address, SHARDS))
    return address


@pytest.fixture(scope="module")
def mongo(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that is a replica set, as the operator's own must be."""
    spec = specs.mongo(free_port(), tmp_path_factory.mktemp("mongo"))
    argv = tuple(each for each in spec.argv if each != "--standalone")
    return "mongodb://" + servers.start(replace(spec, argv=argv)).spec.address


async def make_topics(address: str, partitions: int) -> None:
    admin = KafkaLogAdmin(address)
    await admin.start()
    for topic in ("mailbox", "push"):
        await admin.create(topic, partitions)
    await admin.close()


class Planting:
    """A system with nothing wrong with it, and what is changed in it."""

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        self.folder, self.values = folder, values
        self.settings = Settings.model_validate(values)

    def use(self, group: str, **values: Any) -> None:
        self.values[group] = self.values.get(group, {}) | values
        self.settings = Settings.model_validate(self.values)

    def set(self, **values: Any) -> None:
        self.values |= values
        self.settings = Settings.model_validate(self.values)

    async def find(self, ahead_ms: int = 0) -> list[Finding]:
        return await examine(self.settings, clock=lambda: now_ms() + ahead_ms)

    async def found(self, check: str, state: str, *words: str, ahead_ms: int = 0) -> None:
        """Assert that this check and no other finds something, and that its fix says these words."""
        wrong = [each for each in await self.find(ahead_ms) if each.state != "ok" and each.check != "copies"]
        assert [(each.check, each.state) for each in wrong] == [(check, state)], wrong
        assert [word for word in words if word not in wrong[0].fix] == [], wrong


@pytest.fixture
def planting(tmp_path: Path, kafka: str, mongo: str, redis_url: str) -> Planting:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    KeyRing(fresh_secrets(now_ms())).save(data / "keyring.json")
    write_service_account(tmp_path / "fcm.json", f"http://{kafka}")
    values: dict[str, Any] = {
        "server_name": NAME,
        "data": data,
        "shards": SHARDS,
        "http": {"port": free_port()},
        "kafka": {"url": kafka},
        "mongo": {"url": mongo, "database": f"doctor_{secrets.token_hex(4)}"},
        "redis": {"url": redis_url},
        # What is asked is whether something listens there: the broker does.
        "fcm": {"credentials_file": tmp_path / "fcm.json", "endpoint": f"http://{kafka}"},
    }
    made = Planting(tmp_path, values)
    certify(made)
    return made


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        most = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def certify(planting: Planting, name: str = NAME, days: int = 90) -> None:
    """Use a certificate for this name that is valid for so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=100))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = planting.folder / "chain.pem", planting.folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(private_pem(key))
    private.chmod(0o600)
    planting.use("tls", certificate=certificate, key=private)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture
def redis_with(servers: Servers, tmp_path: Path) -> Callable[..., str]:
    """Start a Redis with these further options; returns its address."""

    def begin(*options: str) -> str:
        spec = specs.redis(free_port(), tmp_path)
        return servers.start(replace(spec, argv=(*spec.argv, *options), probe=accepts)).spec.address

    return begin


# --- nothing is wrong -----------------------------------------------------------------------------


async def test_a_healthy_system_is_found_healthy(planting: Planting) -> None:
    findings = await planting.find()
    wrong = [each for each in findings if each.state != "ok"]
    # The one that is not embedded, and has one broker only: that is so, and says so.
    assert [(each.check, each.state) for each in wrong] == [("copies", "warning")]
    assert "ROOST_KAFKA__REPLICAS=3" in wrong[0].fix
    checks = [each.check for each in findings]
    assert len(checks) == len(set(checks)) > 18


def test_a_machine_where_nothing_runs_yet_is_found_healthy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["doctor", "--data", str(tmp_path / "new"), "--port", str(free_port())]
    assert command_line.main([*arguments, "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {each["state"] for each in findings} == {"ok"}
    assert all(set(each) == {"check", "state", "detail", "fix"} for each in findings)
    assert not (tmp_path / "new").exists()
    assert command_line.main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("All is well.")


# --- the planted faults ---------------------------------------------------------------------------


async def test_a_missing_broker(planting: Planting) -> None:
    planting.use("kafka", url=f"{HOST}:{free_port()}")
    await planting.found("kafka", "failed", "Start it", "ROOST_KAFKA__URL")


async def test_topics_of_another_number_of_shards(planting: Planting) -> None:
    planting.set(shards=SHARDS + 1)
    await planting.found("topics", "failed", f"ROOST_SHARDS={SHARDS}")


async def test_records_that_are_gone_before_they_were_stored(planting: Planting, mongo: str) -> None:
    store = MongoStore(mongo, planting.settings.mongo.database, "motor", KeyRing(fresh_secrets(now_ms())))
    await store.cluster.put_log_states([LogState(shard, 1, -5) for shard in range(SHARDS)])
    await store.close()
    await planting.found("retention", "failed", "retention.ms", "kafka-configs")


async def test_a_missing_store(planting: Planting) -> None:
    planting.use("mongo", url=f"mongodb://{HOST}:{free_port()}")
    await planting.found("mongo", "failed", "Start it", "ROOST_MONGO__URL")


async def test_a_store_of_one_server(planting: Planting, mongo_url: str) -> None:
    planting.use("mongo", url=mongo_url)
    await planting.found("mongo", "warning", "--replSet", "rs.initiate()")


async def test_a_database_of_another_number_of_shards(planting: Planting, mongo: str) -> None:
    store = MongoStore(mongo, planting.settings.mongo.database, "motor", KeyRing(fresh_secrets(now_ms())))
    await store.cluster.put_log_states([LogState(shard, 1, 0) for shard in range(SHARDS + 3)])
    await store.close()
    planting.set(shards=None)
    await planting.found("topics", "failed", "Use the Kafka cluster that this installation was made with")


async def test_the_first_shard_count_is_ignored_later(planting: Planting, mongo: str) -> None:
    store = MongoStore(mongo, planting.settings.mongo.database, "motor", KeyRing(fresh_secrets(now_ms())))
    await store.cluster.put_log_states([LogState(shard, 1, 0) for shard in range(SHARDS)])
    await store.close()
    planting.set(shards=SHARDS + 1)
    await planting.found("shards", "warning", "Take ROOST_SHARDS out", "roost scale shards=N")


async def test_a_cache_that_wants_another_password(
    planting: Planting, redis_with: Callable[..., str]
) -> None:
    address = redis_with("--requirepass", "right")
    planting.use("redis", url=f"redis://:wrong@{address}")
    await planting.found("redis", "failed", "password", "ROOST_REDIS__URL")
    planting.use("redis", url=f"redis://:right@{address}")
    assert all(each.state == "ok" for each in await planting.find() if each.check != "copies")


async def test_a_cache_that_refuses_writes_when_it_is_full(
    planting: Planting, redis_with: Callable[..., str]
) -> None:
    planting.use("redis", url=f"redis://{redis_with('--maxmemory-policy', 'noeviction')}")
    await planting.found("redis memory", "warning", "maxmemory-policy", "allkeys-lru")


@pytest.mark.attack("find a cache that asks for no password", "roost doctor fails on it")
async def test_a_server_open_to_everyone(planting: Planting, redis_with: Callable[..., str]) -> None:
    # It listens on every address for a moment, and lets strangers do nothing of consequence meanwhile.
    harmless = "default on nopass ~* &* +@all -@dangerous +info +config|get"
    address = redis_with("--bind", "0.0.0.0", "--protected-mode", "no", "--user", *harmless.split())
    planting.use("redis", url=f"redis://{address}")
    await planting.found("exposed ports", "failed", "redis", "127.0.0.1", "password")


async def test_a_certificate_with_another_key(planting: Planting) -> None:
    key = planting.settings.tls.key
    assert key is not None
    key.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    await planting.found("certificate", "failed", "ROOST_TLS__KEY")


@pytest.mark.parametrize(("days", "state"), [(-1, "failed"), (3, "warning")])
async def test_a_certificate_that_expires(planting: Planting, days: int, state: str) -> None:
    certify(planting, days=days)
    await planting.found("certificate", state, "Renew")


async def test_a_certificate_for_another_name(planting: Planting) -> None:
    certify(planting, "elsewhere.example.org")
    await planting.found("certificate", "warning", f"certificate for {NAME}")


async def test_no_certificate_where_others_connect(planting: Planting) -> None:
    planting.use("tls", certificate=None, key=None)
    planting.use("http", host="0.0.0.0")
    await planting.found("certificate", "failed", "ROOST_TLS__CERTIFICATE", "proxy")


@pytest.mark.attack("read a key ring whose mode was loosened", "roost doctor, and every start, refuse it")
async def test_a_key_ring_that_others_can_read(planting: Planting) -> None:
    planting.settings.keyring_file.chmod(0o644)
    await planting.found("key ring", "failed", "chmod 600")


async def test_a_damaged_key_ring(planting: Planting) -> None:
    planting.settings.keyring_file.write_text("{}")
    await planting.found("key ring", "failed", "Restore", "backup")


async def test_a_master_key_that_cannot_be_had(planting: Planting) -> None:
    planting.use("keyring", file=planting.settings.keyring_file, master_command="false")
    await planting.found("key ring", "failed", "ROOST_KEYRING__MASTER")
    planting.settings.keyring_file.unlink()
    await planting.found("key ring", "failed", "ROOST_KEYRING__MASTER")


async def test_another_key_ring_than_before(planting: Planting, mongo: str) -> None:
    ring = KeyRing.load(planting.settings.keyring_file)
    store = MongoStore(mongo, planting.settings.mongo.database, "motor", ring)
    await store.accounts.add_device(Device("u", "d", "telephone", created_at_ms=now_ms(), from_seq=0))
    await store.close()
    sealed = {each.check: each for each in await planting.find()}["sealed values"]
    assert (sealed.state, sealed.detail) == ("ok", "the key ring opens them")
    KeyRing(fresh_secrets(now_ms())).save(planting.settings.keyring_file)
    await planting.found("sealed values", "failed", "Put the key ring of this installation")


async def test_an_older_copy_of_the_key_ring(planting: Planting, mongo: str) -> None:
    ring = KeyRing.load(planting.settings.keyring_file)
    store = MongoStore(mongo, planting.settings.mongo.database, "motor", ring)
    await store.accounts.add_device(Device("u", "d", "telephone", created_at_ms=now_ms(), from_seq=0))
    await store.ring_serial.seen(ring.secrets.installation, ring.secrets.serial + 1)
    await store.close()
    await planting.found("sealed values", "failed", "Copy", "change 2")


async def test_a_store_that_has_unsealed_names(planting: Planting) -> None:
    ring = KeyRing.load(planting.settings.keyring_file).secrets
    KeyRing(structs.replace(ring, lenient=True)).save(planting.settings.keyring_file)
    await planting.found("key ring", "warning", "roost keys reencrypt")


async def test_a_credential_of_another_kind(planting: Planting) -> None:
    path = planting.settings.fcm.credentials_file
    assert path is not None
    path.write_text(json.dumps(json.loads(path.read_text()) | {"type": "authorized_user"}))
    await planting.found("push credential", "failed", "ROOST_FCM__CREDENTIALS_FILE", "service-account")


async def test_a_push_endpoint_out_of_reach(planting: Planting) -> None:
    planting.use("fcm", endpoint=f"http://{HOST}:{free_port()}")
    await planting.found("push endpoint", "failed", "firewall", "ROOST_FCM__ENDPOINT")


async def test_web_push_alone(planting: Planting) -> None:
    planting.use("cluster", address=f"{HOST}:{free_port()}")
    planting.use("fcm", credentials_file=None)
    planting.use("webpush", hosts=(f"{HOST}:{free_port()}",))
    found = {each.check: each for each in await planting.find()}
    assert (found["push credential"].state, found["push services"].state) == ("ok", "warning")
    assert "Web Push alone" in found["push credential"].detail
    assert "push endpoint" not in found


@pytest.mark.parametrize("group", ["fcm", "webpush"])
async def test_authorities_of_push_services_that_cannot_be_read(planting: Planting, group: str) -> None:
    (planting.folder / "ca.pem").write_text("nothing")
    file = planting.folder / "ca.pem"
    planting.use(group, ca=file if group == "fcm" else (file,))
    await planting.found(f"{group} authority", "failed", f"ROOST_{group.upper()}__CA")


async def test_a_push_service_of_ones_own_out_of_reach(planting: Planting) -> None:
    planting.use("webpush", internal=(f"http://{HOST}:{free_port()}",))
    await planting.found("push services", "warning", "firewall", "ROOST_WEBPUSH__HOSTS")


async def test_a_subject_that_push_services_do_not_take(planting: Planting) -> None:
    certify(planting, name="localhost")
    planting.set(server_name="localhost")
    await planting.found("web push", "warning", "ROOST_WEBPUSH__SUBJECT")
    planting.use("webpush", subject="mailto:ops@example.org")
    [found] = [each for each in await planting.find() if each.check == "web push"]
    assert found.state == "ok"
    assert f"VAPID key {KeyRing.load(planting.settings.keyring_file).vapid_key().id}, to fcm" in found.detail


async def test_a_port_in_use_by_another_process(planting: Planting) -> None:
    with socket.create_server((HOST, 0)) as other:
        planting.use("http", port=other.getsockname()[1])
        await planting.found("http port", "failed", "ROOST_HTTP__PORT")


async def test_a_package_of_another_version(
    planting: Planting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "site" / "aiokafka-0.9.0.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: aiokafka\nVersion: 0.9.0\n")
    monkeypatch.syspath_prepend(str(old.parent))
    await planting.found("versions", "failed", "pip install", "constraints.txt")


@pytest.mark.parametrize(("ahead_ms", "state"), [(-10_000, "warning"), (120_000, "failed")])
async def test_a_clock_that_is_wrong(planting: Planting, ahead_ms: int, state: str) -> None:
    await planting.found("clock", state, "chrony", ahead_ms=ahead_ms)


async def test_a_data_folder_that_cannot_be_made(planting: Planting, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    planting.use("keyring", file=planting.settings.keyring_file)
    planting.set(data=tmp_path / "file" / "data")
    await planting.found("data folder", "failed", "--data")


async def test_too_few_files(planting: Planting) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    await planting.found("open files", "warning", "ulimit -n", "LimitNOFILE")


async def test_roles_of_a_cluster_that_listen_on_loopback(planting: Planting) -> None:
    planting.use("cluster", address=f"{HOST}:{free_port()}", listen=HOST)
    wrong = {each.check: each for each in await planting.find() if each.state == "failed"}
    assert set(wrong) == {"links", "roles"}  # there is no such cluster, either
    assert "ROOST_CLUSTER__LISTEN" in wrong["links"].fix


def test_a_cluster_without_what_a_cluster_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOST_WEBPUSH__HOSTS", "[]")
    unused = f"{HOST}:{free_port()}"
    assert command_line.main(["doctor", "--json", "--address", unused, "--port", str(free_port())]) == 1
    wrong = {
        each["check"]: each["fix"] for each in json.loads(capsys.readouterr().out) if each["state"] != "ok"
    }
    assert set(wrong) == {"key ring", "media", "kafka", "mongo", "redis", "links", "roles"}
    assert "Copy the cluster's key ring" in wrong["key ring"]
    for server in ("media", "kafka", "mongo", "redis"):
        assert f"ROOST_{server.upper()}__URL" in wrong[server]


def test_bad_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOST_SHARDS", "none")
    assert command_line.main(["doctor"]) == 2


def test_failures_show_in_the_exit_code_and_the_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        assert command_line.main(["doctor", "--data", str(tmp_path), "--port", str(port)]) == 1
    lines = capsys.readouterr().out.splitlines()
    [line] = [index for index, each in enumerate(lines) if each.startswith("failed")]
    assert "http port" in lines[line]
    assert lines[line + 1].lstrip().startswith("-> Stop it")
    assert lines[-1].startswith("1 failed")
