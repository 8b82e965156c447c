"""Servers and systems for the whole session, and fresh names in them for each test."""

import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cluster.local import specs
from cluster.local.server_tls import url_of
from cluster.local.servers import Server, free_port
from deploy.kafka import brokers
from storage.kafka_log import KafkaLogAdmin
from storage.keyring import KeyRing, fresh_secrets
from tests.buckets.places import Place, place_of
from tests.encrypted import TLS, for_any_client
from tests.late_log import read_late
from tests.live.running import System
from tests.machine import Machine
from tests.real_servers import Servers

# Speed is measured in benchmarks/, and this machine may be busy: no example fails for being slow.
settings.register_profile("roost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roost")

# A shell's background job begins with this signal ignored, and so would the children that tests end with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class LogServer:
    """Where the log is, and how it is read there."""

    url: str
    fetch_wait_ms: int


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kafka-version",
        metavar="VERSION",
        default=brokers.CURRENT,
        help="version of Apache Kafka that the tests in tests/kafka run on",
    )
    parser.addoption(
        "--log-on-kafka",
        action="store_true",
        help="the log's contract is tested on Apache Kafka instead of the embedded brokers",
    )
    parser.addoption(
        "--media-on",
        metavar="KINDS",
        default="folder",
        help="where the tests of files keep them: folder, s3, gcs, azure; several with commas between",
    )
    parser.addoption(
        "--late-log",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="the log is read so much later than it is written, as on a machine with too much to do",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Prepare this process for the options."""
    if late_s := config.getoption("--late-log"):
        read_late(late_s)
    if config.getoption("--log-on-kafka") or TLS is not None:
        _bear_with_forgotten_connections(config)


def _bear_with_forgotten_connections(config: pytest.Config) -> None:
    """Bear with the connection that aiokafka is just opening when it is closed, and forgets.

    Brokers come and go on Apache Kafka, and a handshake of TLS takes longer, so that happens there. What our
    own code leaves open is found by the same tests on the embedded broker, where nothing is borne with.
    """
    for left in ("StreamWriter", "_SelectorTransport", "AIOKafkaConnection"):
        warning = f"Exception ignored in. <function {left}.__del__"
        config.addinivalue_line("filterwarnings", f"ignore:{warning}:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="session")
def kafka_version(request: pytest.FixtureRequest) -> str:
    version: str = request.config.getoption("--kafka-version")
    return version


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try the log's contract on both embedded brokers, or on Apache Kafka."""
    if "log_server" in metafunc.fixturenames:
        embedded = ["kfake", "tansu"] if TLS is None else ["kfake"]
        kinds = ["kafka"] if metafunc.config.getoption("--log-on-kafka") else embedded
        metafunc.parametrize("log_server", kinds, indirect=True, scope="session")
    kinds = metafunc.config.getoption("--media-on").split(",")
    if "media_place" in metafunc.fixturenames and kinds != ["folder"]:
        metafunc.parametrize("media_place", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def log_server(request: pytest.FixtureRequest) -> LogServer:
    """A broker that the log's contract is tested on."""
    kind: str = request.param
    if kind == "tansu":
        return LogServer(request.getfixturevalue("tansu_url"), fetch_wait_ms=5)
    return LogServer(
        request.getfixturevalue("kafka_url" if kind == "kafka" else "broker_url"), fetch_wait_ms=500
    )


@pytest.fixture(scope="session")
def media_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where the tests of files keep them."""
    folder = tmp_path_factory.mktemp("media")
    return place_of(getattr(request, "param", "folder"), request.getfixturevalue("servers"), folder)


@pytest.fixture(scope="session")
def log_url(request: pytest.FixtureRequest) -> str:
    """``host:port`` of the embedded broker, or of Apache Kafka."""
    on_kafka = request.config.getoption("--log-on-kafka")
    url: str = request.getfixturevalue("kafka_url" if on_kafka else "broker_url")
    return url


@pytest.fixture(scope="session")
def kafka_url(servers: Servers, server_folder: Path, kafka_version: str) -> str:
    """``host:port`` of one broker of Apache Kafka."""
    [broker] = servers.start_all(brokers.prepare(server_folder / "apache-kafka", version=kafka_version))
    return broker.spec.address


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start further servers with this in a test that breaks them."""
    running = Servers()
    yield running
    running.close()


@pytest.fixture
async def admin(broker: Server) -> AsyncIterator[KafkaLogAdmin]:
    """The admin of the broker that a module starts for each of its tests, as ``broker``."""
    admin = KafkaLogAdmin(broker.spec.address)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture(scope="session")
def broker_url(servers: Servers, server_folder: Path) -> str:
    """``host:port`` of the embedded broker."""
    return servers.start(specs.kfake(free_port(), server_folder)).spec.address


@pytest.fixture(scope="session")
def tansu_url(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``host:port`` of the broker that Roost falls back on."""
    return servers.start(specs.tansu(free_port(), tmp_path_factory.mktemp("tansu"))).spec.address


@pytest.fixture(scope="session")
def mongo_url(servers: Servers, server_folder: Path) -> str:
    address = servers.start(specs.mongo(free_port(), server_folder)).spec.address
    return for_any_client(url_of("mongo", address, TLS))


@pytest.fixture(scope="session")
def redis_url(servers: Servers, server_folder: Path) -> str:
    address = servers.start(specs.redis(free_port(), server_folder)).spec.address
    return url_of("redis", address, TLS).removesuffix("/0")


@pytest.fixture
def database() -> str:
    return f"test_{secrets.token_hex(6)}"


@pytest.fixture
def topic() -> str:
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def prefix() -> str:
    return f"test-{secrets.token_hex(6)}:"


@pytest.fixture(scope="session")
def keyring() -> KeyRing:
    return KeyRing(fresh_secrets(now_ms=1_700_000_000_000))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    carrying = Machine(tmp_path_factory.mktemp("live"))
    yield carrying
    carrying.end()


@pytest.fixture(scope="module")
def system(machine: Machine) -> System:
    """Two routers, two hosts, two gateways, one pusher."""
    return machine.shared()


@pytest.fixture
def own_system(machine: Machine) -> Iterator[Callable[..., System]]:
    """Make a system of the test's own: ``own_system(*options, env={...})``, not started yet."""
    yield machine.own
    machine.end_own()


@pytest.fixture
def tell(
    record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Show a figure of this run, and put it into the report."""

    def told(what: str, seconds: float) -> None:
        record_property(what, round(seconds, 2))
        with capsys.disabled():
            print(f"\n    {what}: {seconds:.1f} s", end="")  # noqa: T201 -- figures are for people

    return told


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests of whole systems last, those that share one before the others: each is started once."""
    whole = [item for item in items if item.nodeid.startswith(("tests/field/", "tests/live/"))]
    rest = [item for item in items if item not in whole]
    whole.sort(key=_shares)
    items[:] = [*rest, *whole]


def _shares(item: pytest.Item) -> int:
    fixtures = getattr(item, "fixturenames", ())
    return 0 if "system" in fixtures else 1 if "watched" in fixtures else 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the logs of the systems with a failure."""
    report = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.failed and machine is not None:  # type: ignore[attr-defined]
        for system in machine.systems:
            report.sections.append((f"logs in {system.data}", system.tail()))  # type: ignore[attr-defined]
    return report
