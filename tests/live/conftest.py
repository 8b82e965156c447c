"""One system for all tests that can share it; those that cannot start their own, one at a time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.running import System

COUNTS = ("--routers", "2", "--hosts", "2", "--gateways", "2", "--pushers", "1")


class Machine:
    """Carries one system at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._shared: System | None = None
        self._own: list[System] = []

    @property
    def systems(self) -> list[System]:
        """All that may have logs to show."""
        return [*self._own, *([self._shared] if self._shared is not None else [])]

    def shared(self) -> System:
        """Return the system that tests share."""
        if self._shared is None or not self._shared.running:
            self._shared = System(self._fresh(), *COUNTS).start()
        return self._shared

    def own(self, *options: str, env: dict[str, str] | None = None) -> System:
        """Return a system that the test starts by itself; the shared one is stopped."""
        if self._shared is not None:
            self._shared.stop()
            self._shared = None
        system = System(self._fresh(), *options, env=env)
        self._own.append(system)
        return system

    def end_own(self) -> None:
        """End the systems of one test."""
        while self._own:
            self._own.pop().stop()

    def end(self) -> None:
        """End everything."""
        self.end_own()
        if self._shared is not None:
            self._shared.stop()

    def _fresh(self) -> Path:
        self._count += 1
        return self._folder / f"system-{self._count}"


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
    """Let those that share a system go first, so that it is started once."""
    live = [item for item in items if item.nodeid.startswith("tests/live/")]
    rest = [item for item in items if item not in live]
    live.sort(key=lambda item: "system" not in getattr(item, "fixturenames", ()))
    items[:] = [*rest, *live]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the logs of the systems with a failure."""
    report = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.failed and machine is not None:  # type: ignore[attr-defined]
        for system in machine.systems:
            report.sections.append((f"logs in {system.data}", system.tail()))  # type: ignore[attr-defined]
    return report
