"""Push millions of messages through the embedded system, and watch the memory of every process.

    python -m benchmarks.soak [--messages 2000000] [--json FILE]

The embedded broker keeps all it is given, so the system makes its log anew each time it is over
its limit. The run fails (exit 1) when a message is lost, doubled or reordered, or when the memory
of a process in the last third of the run is more than half above that of the middle third.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.light import Crowd, Tally
from benchmarks.run import accounts, finish
from benchmarks.system import System, embedded, environment, memory_mb

_SAMPLE_S = 5.0
_GROWTH = 1.5
_NOISE_MB = 40.0


async def sample(system: System, tally: Tally, samples: list[dict[str, Any]]) -> None:
    """Note rate and memory every few seconds, and show them."""
    roles = await system.roles()
    started, before = time.perf_counter(), 0
    while True:
        await asyncio.sleep(_SAMPLE_S)
        memory = {role: round(memory_mb(pids), 1) for role, pids in roles.items()}
        at = round(time.perf_counter() - started)
        rate = round((tally.delivered - before) / _SAMPLE_S)
        before = tally.delivered
        samples.append({"at_s": at, "delivered": tally.delivered, "per_s": rate, "memory_mb": memory})
        shown = " ".join(f"{role}={mb:.0f}" for role, mb in memory.items())
        print(f"\r{at:5} s {tally.delivered:9} delivered {rate:6}/s  MB: {shown}   ", end="", file=sys.stderr)


def growth(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Return by role the last third's median memory over the middle third's."""
    third = max(1, len(samples) // 3)
    middle, last = samples[third : 2 * third], samples[2 * third :]
    found: dict[str, float] = {}
    for role in samples[0]["memory_mb"]:
        before = statistics.median(s["memory_mb"][role] for s in middle)
        after = statistics.median(s["memory_mb"][role] for s in last)
        found[role] = round((after + _NOISE_MB) / (before + _NOISE_MB), 2)
    return found


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run until everything was sent and delivered."""
    tally, samples = Tally(), []
    # The generator shows its first token only, and a soak may be longer than that lives.
    async with embedded(ROOST_TOKENS__ACCESS_S=str(2 * int(options.timeout))) as system:
        people = await accounts(system.http, options.users)
        crowd = Crowd(tally, options.seed, options.contacts)
        await crowd.join(system.http, people)
        watcher = asyncio.create_task(sample(system, tally, samples))
        started = time.perf_counter()
        await crowd.press(options.outstanding, options.timeout, messages=options.messages)
        await crowd.settle(60)
        elapsed = time.perf_counter() - started
        watcher.cancel()
        crowd.leave()
    return {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.soak", *sys.argv[1:]],
        "sent": tally.sent,
        "delivered": tally.delivered,
        "lost": tally.sent - tally.delivered - tally.rejected,
        "doubled": tally.doubled,
        "reordered": tally.reordered,
        "rejected": tally.rejected,
        "sent_again": tally.repeated,
        "problems": dict(tally.problems),
        "seconds": round(elapsed),
        "delivered_per_s": round(tally.delivered / elapsed),
        "memory_growth": growth(samples),
        "samples": samples,
    }


def main() -> int:
    """Parse the command line, run, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--contacts", type=int, default=10)
    parser.add_argument("--outstanding", type=int, default=1000)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds after which it stops sending")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    finish(result, options.json)
    broken = any(result[name] for name in ("lost", "doubled", "reordered", "rejected"))
    grown = {role: ratio for role, ratio in result["memory_growth"].items() if ratio > _GROWTH}
    if grown:
        print(f"memory grew: {json.dumps(grown)}", file=sys.stderr)
    return 1 if broken or grown else 0


if __name__ == "__main__":
    sys.exit(main())
