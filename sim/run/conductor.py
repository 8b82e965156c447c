"""One run from its first account to its verdict: starts the workers, strikes the system, ends it, checks.

The order of a run: system up, everyone joins, ``go``, acts and faults, everyone comes back online,
quiet, ``end``, audit of the server's own store, checker. Nothing here knows the SDK.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from sim.checker import Verdict, check
from sim.faults.schedule import Strike
from sim.faults.strike import NotStruck, Struck, strike
from sim.faults.system import System
from sim.ledger import Kind, Ledger, Ledgers, now_us
from sim.people.worker_context import Figures
from sim.report.figures import HARNESS, Usage
from sim.run.erasures import Account, left_of
from sim.run.spec import Spec
from sim.run.workers import Workers, start_workers

_GO_IN_S: Final = 0.5
_LOOK_EVERY_S: Final = 0.25
_SAMPLE_EVERY_S: Final = 1.0
_QUIET_S: Final = 2.0
_QUIET_SWEPT_S: Final = 10.0
"""The same, where what is under way cannot be told from what was swept."""

_AUDIT_S: Final = 300.0


class Run(Struct):
    """What came of a run.

    Attributes:
        spec: What it was.
        verdict: What the checker says.
        faults: What was struck.
        missed_faults: Strikes that could not be done, as sentences.
        usage: The roles' cost over time, the harness's own processes among them.
        harness: Each worker's last figures.
        go_us: When the acts began, by the monotonic clock.
        settled: It came to rest before the time for that was over.
        remarks: What else there is to say, as sentences.
    """

    spec: Spec
    verdict: Verdict
    faults: list[Struck] = field(default_factory=list)
    missed_faults: list[str] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    harness: list[Figures] = field(default_factory=list)
    go_us: int = 0
    settled: bool = False
    remarks: list[str] = field(default_factory=list)


Watcher = Callable[[str, list[Figures], list[Struck], str], None]
"""Shown, a few times a second: the phase, each worker's figures, the faults so far, the one that strikes."""


def run_name() -> str:
    """Return a prefix of usernames that no other run has."""
    return f"s{secrets.token_hex(3)}u"


class Conductor:
    """Conducts one run on a system that is up.

    Args:
        system: Where.
        spec: What.
        strikes: Which faults, when.
        watcher: Shown the progress of the run.
        enough: Says whether the acts should end early.
    """

    def __init__(
        self,
        system: System,
        spec: Spec,
        strikes: Sequence[Strike],
        watcher: Watcher,
        enough: Callable[[list[Figures]], bool] = lambda _workers: False,
    ) -> None:
        self.system, self.spec, self.strikes = system, spec, strikes
        self._watcher, self._enough = watcher, enough
        self._run = Run(spec, Verdict())
        self._striking = ""
        self._phase = "joining"

    async def conduct(self, ray: tuple[str, Path] | None = None) -> Run:
        """Play the run and return what came of it.

        Raises:
            WorkerFailed: A worker ended before its time.
        """
        async with start_workers(self.spec, ray) as workers:
            beside = [asyncio.create_task(self._watch(workers)), asyncio.create_task(self._sample())]
            try:
                await self._play(workers)
            finally:
                await _end(beside)
            self._run.harness = workers.figures()
        self._phase = "checking"
        self._watcher("checking", self._run.harness, self._run.faults, "")
        self._run.verdict = await asyncio.to_thread(check, Ledgers(self._ledgers(workers)), self.spec.limits)
        return self._run

    async def _play(self, workers: Workers) -> None:
        await workers.until("ready")
        go = time.monotonic() + _GO_IN_S
        self._run.go_us = round(go * 1e6)
        workers.say("go", go)
        self._phase = "running"
        await self._strike_all(go)
        await workers.until("settling")
        self._phase = "settling"
        self._run.settled = await self._quiet(workers)
        workers.say("end", time.monotonic())
        self._phase = "auditing"
        async with asyncio.timeout(_AUDIT_S):
            await workers.until("done")
        await asyncio.gather(*workers.tasks)
        self._phase = "erasing"
        await self._prove_erasures(workers)

    async def _prove_erasures(self, workers: Workers) -> None:
        """Look through the stores for what is left of each account that was deleted."""
        erased = Ledgers(workers.ledgers).of_kind(Kind.ERASED)
        if not erased:
            return
        if self.system.data is None:
            self._run.remarks.append(
                "The stores were not looked through for erased accounts: give --data DIR."
            )
            return
        devices: dict[str, list[str]] = defaultdict(list)
        for event in Ledgers(workers.ledgers).of_kind(Kind.DEVICE):
            devices[event.user].append(event.device)
        with Ledger(self._faults_path) as ledger:
            for event in erased:
                account = Account(event.note, event.user, tuple(devices[event.user]))
                for sentence in await left_of(self.system, account):
                    ledger.record(Kind.LEFT, at_us=now_us(), user=event.user, note=sentence)

    async def _strike_all(self, go: float) -> None:
        with Ledger(self._faults_path) as ledger:
            for plan in sorted(self.strikes, key=lambda each: each.at_s):
                await asyncio.sleep(max(0.0, go + plan.at_s - time.monotonic()))
                self._striking = plan.name
                ledger.record(Kind.FAULT, at_us=now_us(), user="", note=f"{plan.name}: begins")
                try:
                    struck = await strike(self.system, plan)
                except NotStruck as exc:
                    self._run.missed_faults.append(f"{plan.name}: {exc}")
                else:
                    self._run.faults.append(struck)
                ledger.record(Kind.FAULT, at_us=now_us(), user="", note=f"{plan.name}: ends")
                self._striking = ""

    async def _quiet(self, workers: Workers) -> bool:
        """Wait until nothing is in flight; False if that took too long."""
        deadline = time.monotonic() + self.spec.settle_s
        quiet_s = _QUIET_SWEPT_S if self.spec.limits.sweeps else _QUIET_S
        while time.monotonic() < deadline:
            figures = workers.figures()
            if all(each.waiting == 0 and each.quiet_s > quiet_s for each in figures):
                return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False

    async def _watch(self, workers: Workers) -> None:
        stopped = False
        while True:
            self._run.harness = workers.figures()
            if not stopped and self._phase == "running" and self._enough(self._run.harness):
                stopped = True
                workers.say("stop", time.monotonic())
            self._watcher(self._phase, self._run.harness, self._run.faults, self._striking)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _sample(self) -> None:
        while True:
            if self._phase == "joining":  # accounts cost much that is no message's
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            usage = await asyncio.to_thread(self.system.usage)
            at_us = now_us()
            self._run.usage += [
                Usage(at_us, role, each.cpu_s, each.memory / 1e6) for role, each in usage.items()
            ]
            if self._run.harness:
                cpu_s, memory = (sum(column) for column in zip(*_cost(self._run.harness), strict=True))
                self._run.usage.append(Usage(at_us, HARNESS, cpu_s, memory))
            await asyncio.sleep(_SAMPLE_EVERY_S)

    @property
    def _faults_path(self) -> Path:
        return Path(self.spec.folder) / "ledger-faults.db"

    def _ledgers(self, workers: Workers) -> list[Path]:
        return [*workers.ledgers, self._faults_path]


async def _end(beside: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel what runs beside; what had failed before fails the run."""
    for each in beside:
        each.cancel()
    for result in await asyncio.gather(*beside, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def _cost(workers: Sequence[Figures]) -> list[tuple[float, float]]:
    return [(each.cpu_s, each.rss_mb) for each in workers]
