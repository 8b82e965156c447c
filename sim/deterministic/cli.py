"""The command line of the deterministic runs."""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from secrets import randbelow
from time import monotonic
from typing import Any

from sim.deterministic.kinds import BOTH, KINDS, kind_of, play_many
from sim.deterministic.runner import Outcome, Totals
from sim.deterministic.shrink import shrink

_PROGRESS_S = 2.0
_NEW_SEEDS = 2**40
_KEPT = {"rules": "found_runs.py", "retention": "found_runs.py", "control": "found_control_runs.py"}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m sim.deterministic",
        description="Deterministic runs of the rules and of the control plane.",
    )
    made.add_argument("--seeds", type=int, default=10_000, metavar="N", help="how many (default 10000)")
    made.add_argument(
        "--from", type=_first, default=0, metavar="SEED", dest="first",
        help="the first (default 0); 'commit': one that only this commit plays; "
        "'new': one that hardly anybody has played before",
    )  # fmt: skip
    made.add_argument(
        "--kind", choices=(*KINDS, BOTH), default=BOTH,
        help="what is played: the rules, the control plane, or both (default; every eighth seed the latter); "
        "or the rules in worlds whose mailboxes keep little",
    )  # fmt: skip
    made.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default 2)")
    made.add_argument("--replay", type=int, metavar="SEED", help="play this one only")
    made.add_argument("--steps", metavar="LIST", help="with --replay: only these steps of it, as in 3,7-12")
    made.add_argument("--trace", action="store_true", help="with --replay: print every step")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Play runs; returns 0, or 1 if an invariant broke."""
    options = parser().parse_args(arguments)
    if options.replay is not None:
        kind = kind_of(options.replay, options.kind)
        return _replay(kind, options.replay, options.steps, trace=options.trace)
    begun = monotonic()
    chosen = "" if options.kind == BOTH else f" --kind {options.kind}"
    _say(f"python -m sim.deterministic --seeds {options.seeds} --from {options.first}{chosen}")
    totals = _play(range(options.first, options.first + options.seeds), options, begun)
    seconds = monotonic() - begun
    faults = ", ".join(f"{name} {count:,}" for name, count in sorted(totals.faults.items()))
    _say(f"{totals.seeds:,} seeds, {totals.steps:,} steps, {totals.messages:,} messages in {seconds:.1f} s")
    _say(f"faults that struck: {faults}")
    if not totals.broken:
        _say("no violation")
        return 0
    kinds = ", ".join(f"{seed} ({kind})" for seed, kind in sorted(totals.broken.items())[:20])
    _say(f"violations in {len(totals.broken)} seeds: {kinds}")
    first = min(totals.broken)
    _explain(kind_of(first, options.kind), first)
    return 1


def _first(text: str) -> int:
    if text == "commit":
        return _of_commit()
    return randbelow(_NEW_SEEDS) if text == "new" else int(text)


def _of_commit() -> int:
    """Return the same seed in every run of a commit, and another for each; where there is none, a new one."""
    command = ("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD")
    try:
        head = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 -- ours
    except (OSError, subprocess.CalledProcessError) as exc:
        _say(f"There is no commit here ({exc}): the seeds are new ones.")
        return randbelow(_NEW_SEEDS)
    return int(head[:10], 16)


def _play(seeds: range, options: argparse.Namespace, begun: float) -> Totals:
    totals, told = Totals(), begun
    for some in play_many(seeds, options.jobs, options.kind):
        totals.merge(some)
        for seed, kind in some.broken.items():
            _say(f"violation in seed {seed} ({kind})")
        if monotonic() - told > _PROGRESS_S:
            told = monotonic()
            _say(
                f"{totals.seeds:,} of {len(seeds):,} seeds, {len(totals.broken)} broken, {told - begun:.0f} s"
            )
    return totals


def _explain(runs: str, seed: int) -> None:
    """Shrink the run of a seed that breaks, and say how to play it again."""
    play, replay = KINDS[runs]
    whole = play(seed)
    if whole.violation is None:
        _say(f"seed {seed} holds when it is played again: something here is not deterministic")
        return
    kind, numbered = whole.violation[0], list(enumerate(whole.steps))

    def fails(steps: list[tuple[int, Any]]) -> bool:
        again = replay(seed, whole.plan, [step for _, step in steps])
        return again.violation is not None and again.violation[0] == kind

    kept = shrink(numbered, fails)
    shown = replay(seed, whole.plan, [step for _, step in kept])
    _say(f"\nseed {seed}: {whole.plan}; {len(kept)} of {len(numbered)} steps are enough:")
    for number, step in kept:
        _say(f"  {number:4} {line(step)}")
    _say((shown.violation or whole.violation)[1])
    _say("\nTo play it again, as long as nothing changes what a seed means:")
    _say(
        f"python -m sim.deterministic --kind {runs} --replay {seed} "
        f"--steps {written([number for number, _ in kept]) or 'none'}"
    )
    _say(f"\nTo keep it for good, in tests/unit/{_KEPT[runs]}, under a sentence that says what went wrong:")
    _say(f'    ({whole.plan}, _steps("""')
    for _, step in kept:
        _say(f"        {line(step)}")
    _say('    """)),')


def _replay(runs: str, seed: int, chosen: str | None, *, trace: bool) -> int:
    play, replay = KINDS[runs]
    outcome = play(seed)
    if chosen is not None:
        steps = [outcome.steps[number] for number in numbers(chosen) if number < len(outcome.steps)]
        outcome = replay(seed, outcome.plan, steps)
    if trace:
        for number, step in enumerate(outcome.steps):
            _say(f"  {number:4} {line(step)}")
    return _tell(outcome)


def _tell(outcome: Outcome) -> int:
    _say(f"seed {outcome.seed}: {outcome.plan}, {len(outcome.steps)} steps, digest {outcome.digest}")
    _say(outcome.violation[1] if outcome.violation else "no violation")
    return int(outcome.violation is not None)


def line(step: tuple[Any, ...]) -> str:
    """Write a step as `tests/unit/found_runs.py` has it."""
    return " ".join("/".join(part) if isinstance(part, tuple) else str(part) for part in step)


def numbers(text: str) -> Iterator[int]:
    """Yield the numbers of a list like ``3,7-12``; ``none`` has none."""
    for part in text.split(",") if text != "none" else ():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def written(chosen: Sequence[int]) -> str:
    """Write rising numbers as a list like ``3,7-12``."""
    breaks = [0, *(n + 1 for n, (a, b) in enumerate(pairwise(chosen)) if b != a + 1), len(chosen)]
    runs = [chosen[begin:end] for begin, end in pairwise(breaks) if begin < end]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
