"""Measure the embedded system: latency at a steady rate, then throughput under pressure.

    python -m benchmarks.run [--users 200] [--seconds 20] [--json FILE]

The load generator runs on the same cores. Every message is stored, delivered, acknowledged and
answered by a receipt; what is counted as doubled, reordered or missing fails the run (exit 1).
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.light import Account, Crowd, Tally, sign_up
from benchmarks.system import System, cpu_seconds, embedded, environment, memory_mb


def percentiles(values: "array[float]") -> dict[str, float]:
    """Return p50, p95, p99 and max, in milliseconds."""
    if not values:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    named = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
    return {name: round(value, 2) for name, value in named.items()}


async def accounts(base: str, count: int) -> list[Account]:
    """Sign up so many users (argon2 makes this slow on purpose)."""
    async with aiohttp.ClientSession() as http:
        made: list[Account] = []
        for first in range(0, count, 20):
            names = [f"load{number}" for number in range(first, min(first + 20, count))]
            made += await asyncio.gather(*(sign_up(http, base, name) for name in names))
            print(f"\r{len(made)} of {count} users", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return made


async def phase(
    system: System,
    people: list[Account],
    options: argparse.Namespace,
    *,
    rate: float = 0,
    outstanding: int = 0,
) -> dict[str, Any]:
    """Run one phase and return its figures."""
    tally = Tally()
    crowd = Crowd(tally, options.seed, options.contacts)
    await crowd.join(system.http, people)
    roles = await system.roles()
    before = {role: cpu_seconds(pids) for role, pids in roles.items()}
    own = time.process_time()
    started = time.perf_counter()
    if rate:
        await crowd.pace(rate, options.seconds)
    else:
        await crowd.press(outstanding, options.seconds)
        delivered, elapsed = tally.delivered, time.perf_counter() - started
        await crowd.settle()
    if rate:
        delivered, elapsed = tally.delivered, time.perf_counter() - started
    used = {role: cpu_seconds(pids) - before[role] for role, pids in roles.items()}
    memory = {role: round(memory_mb(pids)) for role, pids in roles.items()}
    generator = time.process_time() - own
    await asyncio.sleep(1.0)
    crowd.leave()
    done = max(tally.delivered, 1)
    return {
        "rate": rate or None,
        "outstanding": outstanding or None,
        "sent": tally.sent,
        "accepted": tally.accepted,
        "delivered": tally.delivered,
        "lost": tally.sent - tally.delivered - tally.rejected,
        "doubled": tally.doubled,
        "reordered": tally.reordered,
        "rejected": tally.rejected,
        "sent_again": tally.repeated,
        "receipts": tally.receipts,
        "problems": dict(tally.problems),
        "delivered_per_s": round(delivered / elapsed),
        "send_accept_ms": percentiles(tally.accept_ms),
        "send_deliver_ms": percentiles(tally.deliver_ms),
        "cpu_us_per_message": {role: round(1e6 * seconds / done) for role, seconds in used.items()}
        | {"load_generator": round(1e6 * generator / done)},
        "memory_mb": memory,
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start a system and run every phase on it."""
    result: dict[str, Any] = {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.run", *sys.argv[1:]],
        "phases": [],
    }
    async with embedded() as system:
        people = await accounts(system.http, options.users)
        plan = [{"rate": float(rate)} for rate in options.rates] + [
            {"outstanding": outstanding} for outstanding in options.outstanding
        ]
        for step in plan:
            print(f"{step} for {options.seconds} s", file=sys.stderr)
            figures = await phase(system, people, options, **step)  # type: ignore[arg-type]
            print(json.dumps(figures), file=sys.stderr)
            result["phases"].append(figures)
    return result


def finish(result: dict[str, Any], file: Path | None) -> None:
    """Write the figures to the file, or to stdout."""
    text = json.dumps(result, indent=1)
    if file is None:
        print(text)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
        print(f"the figures are in {file}", file=sys.stderr)


def main() -> int:
    """Parse the command line, measure, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--contacts", type=int, default=10, help="people each user writes to")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rates", type=float, nargs="*", default=[100])
    parser.add_argument("--outstanding", type=int, nargs="*", default=[50, 200, 1000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    finish(result, options.json)
    bad = [p for p in result["phases"] if p["lost"] or p["doubled"] or p["reordered"] or p["rejected"]]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
