"""Servers for the whole session, and fresh names in them for each test."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cluster import servers as specs
from storage.keyring import KeyRing, fresh_secrets
from tests.real_servers import Servers

# Speed is measured in benchmarks/, and this machine may be busy: no example fails for being slow.
settings.register_profile("roost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roost")


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start further servers with this in a test that breaks them."""
    running = Servers()
    yield running
    running.close()


@pytest.fixture(scope="session")
def tansu_url(servers: Servers, server_folder: Path) -> str:
    """``host:port`` of the embedded broker."""
    return servers.start(specs.tansu(specs.free_port(), server_folder)).spec.address


@pytest.fixture(scope="session")
def mongo_url(servers: Servers, server_folder: Path) -> str:
    return "mongodb://" + servers.start(specs.mongo(specs.free_port(), server_folder)).spec.address


@pytest.fixture(scope="session")
def redis_url(servers: Servers, server_folder: Path) -> str:
    return "redis://" + servers.start(specs.redis(specs.free_port(), server_folder)).spec.address


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
