"""Roost on Apache Kafka: brokers of the test's own, and one system on them at a time."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.local.servers import Server, ServerSpec
from deploy.kafka import brokers
from tests.live.running import System
from tests.real_servers import Servers

ENV = {
    "ROOST_KAFKA__FETCH_WAIT_MS": "500",
    "ROOST_KAFKA__IDEMPOTENT": "true",
    "ROOST_CLUSTER__SPARES": "0",  # where there is no spare the shards of a dead role move
}


@dataclass
class Kafka:
    """Brokers that a test may kill."""

    servers: Servers
    specs: Sequence[ServerSpec]
    running: list[Server]

    @property
    def url(self) -> str:
        return brokers.bootstrap(self.specs)

    def kill(self, number: int = 1) -> None:
        self.servers.kill(self.running[number - 1])

    def start_again(self, number: int = 1) -> None:
        self.running[number - 1] = self.servers.start(self.specs[number - 1])


MakeKafka = Callable[..., Kafka]
MakeRoost = Callable[..., System]


@pytest.fixture(scope="module")
def make_kafka(
    servers: Servers, kafka_version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeKafka]:
    """Start brokers: ``make_kafka(count=3, advertised={...})``; they are stopped after the module."""
    made: list[Kafka] = []

    def make(**how: Any) -> Kafka:
        folder = tmp_path_factory.mktemp("kafka")
        specs = brokers.prepare(folder, version=kafka_version, **how)
        made.append(Kafka(servers, specs, servers.start_all(specs)))
        return made[-1]

    yield make
    for kafka in made:
        for number in range(len(kafka.specs)):
            kafka.servers.kill(kafka.running[number])


@pytest.fixture(scope="module")
def make_roost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRoost]:
    """Make a system, not started yet: ``make_roost(url, *options, env={...})``; ended after the module."""
    made: list[System] = []

    def make(url: str, *options: str, env: dict[str, str] | None = None) -> System:
        system = System(tmp_path_factory.mktemp("roost"), "--kafka", url, *options, env=ENV | (env or {}))
        made.append(system)
        return system

    make.made = made  # type: ignore[attr-defined]
    yield make
    for system in made:
        system.stop()


def events(system: System, name: str) -> list[dict[str, Any]]:
    """Return the log lines of all roles with this event, in the order of time."""
    lines = [
        line
        for file in (system.data / "logs").glob("*.log")
        for line in file.read_text(errors="replace").splitlines()
    ]
    found = [json.loads(line) for line in lines if f'"event": "{name}"' in line]
    return sorted(found, key=lambda each: str(each["timestamp"]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the logs of the systems with a failure."""
    report = yield
    make = getattr(item, "funcargs", {}).get("make_roost")
    if report.failed and make is not None:  # type: ignore[attr-defined]
        for system in make.made:
            report.sections.append((f"logs in {system.data}", system.tail()))  # type: ignore[attr-defined]
    return report
