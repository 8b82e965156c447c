"""Measure what the operators' stream costs: a system with and without pages that follow it.

    python -m benchmarks.dashboard [--readers 5] [--seconds 60] [--rounds 2] [--json FILE]
    python -m benchmarks.dashboard --only rate-800,ring-200 --seconds 8 --rounds 5      # beside messages

The spans alternate, so that a machine that grows slower slows both. The pages are in the process of the load
generator, so that what they cost there is not the system's.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.bench import Bench, Options
from benchmarks.dashboard_pages import following, operator
from benchmarks.dashboard_traffic import beside_traffic
from benchmarks.figures import keep
from benchmarks.scenarios import Scenario, chosen
from benchmarks.system import embedded, environment, run
from benchmarks.usage import Cost, Usage

_SETTLE_S = 10.0


async def measure(readers: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Start a system, and measure spans of both kinds in turn."""
    without: list[Cost] = []
    with_them: list[Cost] = []
    async with embedded() as system:
        token = await operator(system)
        usage = Usage(system.processes)
        await usage.discover()
        await asyncio.sleep(_SETTLE_S)
        read = [0] * readers
        for _ in range(rounds):
            without.append(await _span(usage, seconds))
            async with following(system, token, readers) as now:
                await asyncio.sleep(1.0)  # their first answer has the whole history
                with_them.append(await _span(usage, seconds))
                read = [sum(each) for each in zip(read, now, strict=True)]
    bare, shown = mean(map(_cores, without)), mean(map(_cores, with_them))
    return {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.dashboard", *sys.argv[1:]],
        "readers": readers,
        "seconds": seconds,
        "cores_without": [round(_cores(each), 4) for each in without],
        "cores_with": [round(_cores(each), 4) for each in with_them],
        "cores_by_role": {role: _differs(role, without, with_them) for role in sorted(with_them[0].cpu_s)},
        "cores_of_the_pages": round(shown - bare, 4),
        "kilobytes_per_page_and_minute": round(mean(read) / 1e3 / (rounds * (seconds + 1) / 60), 1),
    }


async def measure_beside(
    scenarios: list[Scenario], readers: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """Start a system, and run each scenario with and without pages in turn."""
    before = environment()
    async with embedded() as system:
        token = await operator(system)
        options = Options(seconds=seconds)
        bench = Bench(system, options)  # one: a second would sign the same people in again, on new devices
        rows = [await beside_traffic(bench, token, each, readers, rounds) for each in scenarios]
    return {
        "environment": before | {"load_after": environment()["load_before"]},
        "command": ["python", "-m", "benchmarks.dashboard", *sys.argv[1:]],
        "readers": readers,
        "scenarios": rows,
    }


async def _span(usage: Usage, seconds: float) -> Cost:
    usage.begin()
    await asyncio.sleep(seconds)
    return usage.end()


def _cores(cost: Cost) -> float:
    return cost.servers_s() / cost.seconds


def _differs(role: str, without: list[Cost], with_them: list[Cost]) -> float:
    before, after = (
        mean(of.cpu_s.get(role, 0.0) / of.seconds for of in each) for each in (without, with_them)
    )
    return round(after - before, 4)


def main() -> int:
    """Parse the command line, measure, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    parser.add_argument("--readers", type=int, default=5)
    parser.add_argument("--only", default="", metavar="NAMES", help="scenarios of benchmarks.run beside it")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each span")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    options = parser.parse_args()
    shape = (options.readers, options.seconds, options.rounds)
    try:
        scenarios = chosen(options.only) if options.only else []
    except ValueError as exc:
        parser.error(str(exc))
    keep(run(measure_beside(scenarios, *shape) if scenarios else measure(*shape)), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
