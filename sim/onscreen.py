"""The watcher of a run on a terminal: from the workers' figures to the screen."""

from collections.abc import Sequence
from typing import Self

from rich.console import Console

from sim.faults.strike import Struck
from sim.ledger import now_us
from sim.people.worker_context import Figures
from sim.report.live import Progress, Screen
from sim.run.simulation import Options


class OnScreen:
    """Looks on.

    Args:
        console: Where to.
        options: The run.
    """

    def __init__(self, console: Console, options: Options) -> None:
        self._length_us = round(options.duration_s * 1e6)
        self._progress = Progress(now_us(), now_us() + self._length_us, options.users, phase="starting")
        self._screen = Screen(self._progress, console)
        self._striking = ""

    def __enter__(self) -> Self:
        self._screen.__enter__()
        self._screen.refresh()
        return self

    def __exit__(self, *exc: object) -> None:
        self._screen.__exit__(*exc)

    def show(self, phase: str, workers: list[Figures], faults: Sequence[Struck], striking: str) -> None:
        """Take the newest figures; called a few times a second."""
        progress = self._progress
        if phase in {"starting", "joining"} or progress.phase == "joining":
            progress.started_us, progress.ends_us = now_us(), now_us() + self._length_us
        progress.phase = phase
        for name in ("online", "sent", "accepted", "delivered", "failed"):
            setattr(progress, name, sum(getattr(each, name) for each in workers))
        progress.problems = sum(len(each.troubles) for each in workers)
        progress.p50_ms = max((each.p50_ms for each in workers), default=0.0)
        progress.p99_ms = max((each.p99_ms for each in workers), default=0.0)
        self._strike(faults, striking)
        self._screen.refresh()

    def _strike(self, faults: Sequence[Struck], striking: str) -> None:
        if striking != self._striking:
            if striking:
                self._progress.faults.append((now_us(), f"{striking} strikes"))
            elif faults:
                well = faults[-1].recovery_s
                said = "not well again in time" if well is None else f"all well {well:.1f} s after it"
                self._progress.faults.append((now_us(), f"{faults[-1].name} on {faults[-1].target}: {said}"))
            self._striking = striking
