"""The system that is looked at closely: its messages are traced, its steps logged, its release replaced."""

from collections.abc import Iterator

import pytest

from tests.live.collector import Collector, collecting
from tests.live.release import Installation
from tests.live.running import System
from tests.machine import Machine


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="session")
def watched(machine: Machine, collector: Collector, installation: Installation) -> System:
    """Two routers, two hosts, two gateways, at debug level; the last test that takes it upgrades it."""
    env = {
        "PYTHONPATH": str(installation.path),
        "ROOST_LOG_LEVEL": "debug",
        "ROOST_TELEMETRY__TRACES_URL": collector.url,
    }
    return machine.watched("--hosts", "2", "--routers", "2", "--gateways", "2", env=env).start()
