"""Measure memory: every process of an idle system, and what one idle online user adds.

    python -m benchmarks.idle [--users 2000] [--json FILE]

Private memory (USS) is what a process alone holds; what it shares with others is not counted.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from benchmarks.light import Crowd, Tally
from benchmarks.run import accounts, finish
from benchmarks.system import System, embedded, environment, memory_mb

_SETTLE_S = 5.0


async def by_role(system: System) -> dict[str, float]:
    """Return private memory in MB by role, and of everything that has no role (Ray, the parent)."""
    roles = await system.roles()
    named = {pid for pids in roles.values() for pid in pids}
    rest = [pid for pid in system.everything() if pid not in named]
    memory = {role: round(memory_mb(pids), 1) for role, pids in roles.items()}
    return memory | {"ray and parent": round(memory_mb(rest), 1)}


async def measure(users: int) -> dict[str, Any]:
    """Start a system, look, connect everybody, look again."""
    async with embedded() as system:
        await asyncio.sleep(_SETTLE_S)
        idle = await by_role(system)
        people = await accounts(system.http, users)
        await asyncio.sleep(_SETTLE_S)
        before = await by_role(system)
        crowd = Crowd(Tally(), seed=1, contacts=1)
        await crowd.join(system.http, people)
        await asyncio.sleep(_SETTLE_S)
        after = await by_role(system)
        crowd.leave()
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
    finish(asyncio.run(measure(options.users)), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
