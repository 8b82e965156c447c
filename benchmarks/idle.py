"""Measure memory: every process of an idle system, and what one idle online user adds.

    python -m benchmarks.idle [--users 2000] [--json FILE]

Private memory (USS) is what a process alone holds; what it shares with others is not counted.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.accounts import sign_up
from benchmarks.figures import keep
from benchmarks.ledger import Book
from benchmarks.load import Load
from benchmarks.system import System, embedded, environment, run

_SETTLE_S = 5.0


async def by_role(system: System) -> dict[str, float]:
    """Return private memory in MB by role; ``others`` are Ray and the parent."""
    memory: dict[str, float] = defaultdict(float)
    for pid, role in (await system.processes()).items():
        memory[role] += psutil.Process(pid).memory_full_info().uss / 1e6
    return {role: round(mb, 1) for role, mb in sorted(memory.items())}


async def measure(users: int) -> dict[str, Any]:
    """Start a system, look, connect everyone, look again."""
    async with embedded() as system:
        await asyncio.sleep(_SETTLE_S)
        idle = await by_role(system)
        people = await sign_up(system.http, [f"load{number}" for number in range(users)])
        await asyncio.sleep(_SETTLE_S)
        before = await by_role(system)
        load = Load(system.http, people, [(0, 1)], Book())
        await load.join()
        await asyncio.sleep(_SETTLE_S)
        after = await by_role(system)
        await load.leave()
    added = {role: round(1000 * (after[role] - before[role]) / users, 1) for role in before}
    return {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.idle", *sys.argv[1:]],
        "users": users,
        "idle_mb": idle,
        "idle_mb_in_all": round(sum(idle.values())),
        "online_mb": after,
        "kb_per_online_user": added,
        "kb_per_online_user_in_all": round(sum(added.values()), 1),
    }


def main() -> int:
    """Parse the command line, measure, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    options = parser.parse_args()
    keep(run(measure(options.users)), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
