"""The deterministic runs of the control plane: they hold, find planted bugs, and are always the same."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.deterministic.cli import main
from sim.deterministic.control.runner import play, replay
from sim.deterministic.control.world import Plan
from sim.deterministic.runner import Outcome
from tests.unit.found_control_runs import FOUND, Step
from tests.unit.planted_control_bugs import BUGS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(16))
def test_the_control_plane_holds(seed: int) -> None:
    assert play(seed).violation is None


@pytest.mark.parametrize(("plan", "steps"), FOUND.values(), ids=FOUND.keys())
def test_what_was_found_stays_mended(plan: Plan, steps: list[Step]) -> None:
    assert replay(0, plan, steps).violation is None


def first_broken() -> Outcome:
    runs = (play(seed) for seed in range(200))
    return next(run for run in runs if run.violation is not None)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_within_200_seeds(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    assert first_broken().violation is not None


def test_a_run_is_the_same_every_time_in_every_process_and_from_its_steps() -> None:
    here = [play(seed) for seed in range(3)]
    assert [replay(run.seed, run.plan, run.steps).digest for run in here] == [run.digest for run in here]
    code = "from sim.deterministic.control.runner import play; print(*(play(s).digest for s in range(3)))"
    there = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={"PYTHONHASHSEED": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert there.stdout.split() == [run.digest for run in here]


def test_the_command_plays_either_kind_and_says_how_to_play_a_violation_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--kind", "control", "--seeds", "2", "--jobs", "1"]) == 0
    assert "kill-coordinator" in capsys.readouterr().out
    BUGS[2](monkeypatch)
    broken = first_broken().seed
    assert main(["--kind", "control", "--seeds", "1", "--from", str(broken), "--jobs", "1"]) == 1
    told = capsys.readouterr().out
    [again] = [each for each in told.splitlines() if f"--kind control --replay {broken} --steps" in each]
    assert main(again.split()[3:]) == 1
