"""A simulation from its options to its report: the composition root of the harness."""

import os
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil
from msgspec import Struct

from roost.cli.launch import StoppedBadly
from sim.faults.schedule import Strike, schedule
from sim.faults.system import CannotStrike, System, attached, system
from sim.limits import Limits
from sim.people.worker_context import Figures
from sim.report.figures import RunInfo, figures
from sim.report.recovery import Fault
from sim.run.capacity import Capacity, Goal, capacity
from sim.run.conductor import Conductor, Run, Watcher, run_name
from sim.run.spec import Spec

_ROLES: Final = ("hosts", "routers", "gateways")
_TOO_SLOW: Final = 4.0
"""A staircase is left when the latency is so many times the goal."""

_PATIENCE_S: Final = 4.0


class Options(Struct, kw_only=True, frozen=True):
    """What the command line says; see `sim.cli` for each."""

    server: str | None = None
    ca: Path | None = None
    data: Path | None = None
    users: int = 200
    rate: float = 50.0
    duration_s: float = 60.0
    seed: int = 1
    scenario: str = "steady"
    faults: str = ""
    workers: int = 1
    ray: bool = False
    light: bool = False
    devices: float = 0.1
    polls: float = 0.05
    settle_s: float = 60.0
    goal: Goal | None = None
    roles: int | None = None
    folder: Path | None = None
    limits: Limits = Limits()


class Outcome(Struct):
    """What came of it.

    Attributes:
        run: The run.
        info: The run as the report wants it.
        figures: The JSON of the contract.
        capacity: The answer, if it was asked for.
        stopped_badly: What the system could not bring to its end when it was stopped, '' if all is well.
    """

    run: Run
    info: RunInfo
    figures: dict[str, Any]
    capacity: Capacity | None = None
    stopped_badly: str = ""


async def simulate(options: Options, command: Sequence[str], watcher: Watcher) -> Outcome:
    """Play one simulation.

    Raises:
        ProfileUnknown: A fault is none of ours.
        TooShort: There is no time for all faults.
        CannotStrike: The system does not offer what the faults need.
        Unavailable: The system did not start, or does not answer.
        WorkerFailed: A worker ended before its time.
    """
    strikes = schedule(options.faults, options.seed, options.duration_s) if options.faults else []
    with tempfile.TemporaryDirectory(prefix="roost-sim-run-") as made:
        folder = options.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        stopped_badly = ""
        try:
            async with _system(options, strikes) as found:
                spec = _spec(options, found, folder)
                conductor = Conductor(found, spec, strikes, watcher, _enough(options.goal))
                run = await conductor.conduct(_ray(options, found))
        except StoppedBadly as exc:  # after the run: it is told all the same
            stopped_badly = exc.detail
        info = _info(options, command, run)
        outcome = Outcome(run, info, figures(run.verdict, info), stopped_badly=stopped_badly)
        if options.goal is not None:
            outcome.capacity = capacity(spec, run.verdict, run.go_us, options.goal)
        return outcome


@asynccontextmanager
async def _system(options: Options, strikes: Sequence[Strike]) -> AsyncIterator[System]:
    if options.server is not None:
        async with attached(options.server, strikes, data=options.data, ca=options.ca) as found:
            yield found
        return
    # With faults there must be a second one to take over.
    count = options.roles or (2 if strikes else 1)
    more = [word for role in _ROLES for word in (f"--{role}", str(count))]
    async with system(
        strikes, options=more, data=options.data, ca=options.ca, env=options.limits.variables
    ) as found:
        yield found


def _spec(options: Options, found: System, folder: Path) -> Spec:
    return Spec(
        server=found.http,
        ca=None if options.ca is None else str(options.ca),
        fcm=found.fcm or "",
        folder=str(folder.absolute()),
        name=run_name(),
        users=options.users,
        rate=options.rate,
        duration_s=options.duration_s,
        seed=options.seed,
        scenario=options.scenario,
        workers=options.workers,
        devices=options.devices,
        polls=options.polls,
        skewed="skewed-clocks" in options.faults,
        settle_s=options.settle_s,
        light=options.light,
        limits=options.limits,
    )


def _ray(options: Options, found: System) -> tuple[str, Path] | None:
    if not options.ray:
        return None
    if found.data is None or "ray" not in found.ready:
        raise CannotStrike("Ray tasks need the system's Ray: let the simulation start it, without --server.")
    return found.ready["ray"], found.data


def _enough(goal: Goal | None) -> Callable[[list[Figures]], bool]:
    """Return what says that the latency has been hopeless for a while."""
    bad_since: list[float] = []

    def enough(workers: list[Figures]) -> bool:
        if goal is None or max(each.p99_ms for each in workers) < goal.ms * _TOO_SLOW:
            bad_since.clear()
            return False
        bad_since.append(time.monotonic())
        return bad_since[-1] - bad_since[0] > _PATIENCE_S

    return enough


def _info(options: Options, command: Sequence[str], run: Run) -> RunInfo:
    return RunInfo(
        seed=options.seed,
        users=options.users,
        command=shlex.join(command),
        environment=_environment(options, run),
        started_us=run.go_us,
        ended_us=run.go_us + round(options.duration_s * 1e6),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        usage=run.usage,
        faults=[Fault(each.name, each.target, each.begins_us, each.ends_us) for each in run.faults],
        remarks=_remarks(run),
    )


def _remarks(run: Run) -> list[str]:
    said = [f"Not struck: {sentence}" for sentence in run.missed_faults] + run.remarks
    said += [
        f"{fault.name} on {fault.target}: all was not well again in time: {fault.note}."
        for fault in run.faults
        if fault.healed_us is None
    ]
    if not run.settled:
        said.append(
            "The run was cut off before everything had come to rest; what was in flight is unverified."
        )
    said += [f"A virtual user saw: {trouble}" for each in run.harness for trouble in each.troubles]
    return list(dict.fromkeys(said))


def _environment(options: Options, run: Run) -> dict[str, str]:
    cpu_s = sum(each.cpu_s for each in run.harness)
    peak = sum(each.peak_mb for each in run.harness)
    sent = max(1, run.verdict.totals.sent)
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "python": sys.version.split()[0],
        "roost": version("roost"),
        "ray": version("ray"),
        "system": options.server or "embedded, on the same cores as the harness",
        "scenario": options.scenario,
        "harness": (
            f"{options.workers} worker(s), {peak:.0f} MB at the most, {1000 * peak / options.users:.0f} KB a "
            f"user, {1000 * cpu_s / sent:.2f} ms of CPU a message with everything"
        ),
    }
