"""Every fault, one run each, and then all of them mixed.

    python -m sim.every_fault [--duration 60] [--users 100] [--rate 50] [--seed 1] [--only NAMES]

Prints a table of verdicts and recovery times; exit 1 when a run breaks a promise.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from roost.cli import terminal
from sim.checker import VIOLATIONS
from sim.faults.profiles import MIXED, PROFILES
from sim.run.simulation import Options, simulate


def main() -> int:
    """Play the runs and print what came of them."""
    parser = argparse.ArgumentParser(description="Every fault, one run each, and then all of them mixed.")
    parser.add_argument("--duration", type=float, default=60.0, metavar="S", help="seconds of each run (60)")
    parser.add_argument("--users", type=int, default=100, metavar="N")
    parser.add_argument("--rate", type=float, default=50.0, metavar="R", help="messages a second (50)")
    parser.add_argument("--seed", type=int, default=1, metavar="K")
    parser.add_argument("--only", default="", metavar="NAMES", help="these, with commas between")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of all runs")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else [*PROFILES, MIXED]
    console, rows = Console(stderr=True), []
    for number, name in enumerate(names):
        console.print(f"{name} ({number + 1} of {len(names)})", markup=False)
        rows.append(_play(name, args))
        console.print(f"  {rows[-1]['verdict']}; {_recovery(rows[-1])}", markup=False)
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    Console().print(_table(rows))
    return terminal.DONE if all(row["kept"] for row in rows) else terminal.DID_NOT_HOLD


def _play(name: str, args: argparse.Namespace) -> dict[str, Any]:
    options = Options(users=args.users, rate=args.rate, duration_s=args.duration, seed=args.seed, faults=name)
    command = ["roost", "sim", "--faults", name, "--users", str(args.users), "--rate", f"{args.rate:g}"]
    command += ["--duration", f"{args.duration:g}", "--seed", str(args.seed)]
    outcome = asyncio.run(simulate(options, command, lambda *_: None))
    done = bool(outcome.run.faults) and not outcome.run.missed_faults
    kept = outcome.run.settled and done and outcome.run.verdict.holds
    healed = [each.recovery_s for each in outcome.run.faults]
    return outcome.figures | {"profile": name, "kept": kept, "healed_s": healed}


def _recovery(row: dict[str, Any]) -> str:
    healed = [each for each in row["healed_s"] if each is not None]
    slow = [each["recovery_s"] for each in row["faults"] if each["recovery_s"] is not None]
    status = f"{max(healed):.1f} s" if healed else "no end seen"
    return f"all well after {status}" + (f"; slow messages for {max(slow):.1f} s" if slow else "")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Every fault", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for head in ("fault", "strikes", "sent", "verdict", "broken", "recovery"):
        table.add_column(head, no_wrap=head != "recovery")
    for row in rows:
        broken = {kind: row[kind] for kind in VIOLATIONS if row[kind]}
        told = ", ".join(f"{count} {kind}" for kind, count in broken.items()) or "-"
        table.add_row(
            row["profile"], str(len(row["faults"])), str(row["sent"]), row["verdict"], told, _recovery(row)
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
