"""The systems that tests share, and those that a test starts for itself: one at a time."""

from pathlib import Path
from typing import Final

from tests.live.running import System

COUNTS: Final = ("--routers", "2", "--hosts", "2", "--gateways", "2", "--pushers", "1")


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
        self._end_shared()
        system = System(self._fresh(), *options, env=env)
        self._own.append(system)
        return system

    def watched(self, *options: str, env: dict[str, str]) -> System:
        """Return a system that takes the place of the shared one, not started yet."""
        self._end_shared()
        self._shared = System(self._fresh(), *options, env=env)
        return self._shared

    def end_own(self) -> None:
        """End the systems of one test."""
        while self._own:
            self._own.pop().stop()

    def end(self) -> None:
        """End everything."""
        self.end_own()
        self._end_shared()

    def _end_shared(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.stop()

    def _fresh(self) -> Path:
        self._count += 1
        return self._folder / f"system-{self._count}"
