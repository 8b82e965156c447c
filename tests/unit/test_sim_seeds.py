"""The deterministic runs: the rules hold, planted bugs are found, and a run is the same every time."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from actors.host.upkeep import sweeper
from actors.host.upkeep.sweep_rules import Acknowledged
from actors.user import UserActor
from api.host_links import HostLinks
from api.sending.copies import Copies, Sent
from api.sending.room import Room
from api.sending.send_request import SendRequest
from roost.ids import SEQ_LIMIT
from sim.deterministic.cli import main, numbers, parser, written
from sim.deterministic.runner import Outcome, play, replay
from sim.deterministic.shrink import shrink
from sim.deterministic.steps import Step
from sim.deterministic.world import Plan
from storage.ports import Accepted
from tests.unit import found_runs
from tests.unit.found_runs import FOUND
from tests.unit.planted_bugs import BUGS, SEEN_INSIDE, TellsTooEarly

ROOT = Path(__file__).parents[2]
SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_hold(seed: int) -> None:
    assert play(seed).violation is None


@pytest.mark.parametrize("put_away", [False, True])
@pytest.mark.parametrize(("plan", "steps"), FOUND.values(), ids=FOUND.keys())
def test_found_bugs_stay_fixed(plan: Plan, steps: list[Step], *, put_away: bool) -> None:
    """Each with every phone put away at the end, as odd seeds do it, and without."""
    assert replay(int(put_away), plan, steps).violation is None


def first_broken(actor: type[UserActor]) -> Outcome:
    runs = (play(seed, actor) for seed in range(1000))
    return next(run for run in runs if run.violation is not None)


@pytest.mark.parametrize("actor", BUGS)
def test_a_planted_bug_is_found_within_1000_seeds(
    actor: type[UserActor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From outside: by what people were told, not by the actor's own check."""
    monkeypatch.setattr(UserActor, "check", lambda _: None)
    assert first_broken(actor).violation is not None


@pytest.mark.parametrize("actor", SEEN_INSIDE)
def test_an_actor_s_own_check_finds_a_planted_bug(actor: type[UserActor]) -> None:
    violation = first_broken(actor).violation
    assert violation is not None
    assert violation[0] == "invariant"


def test_a_gateway_that_is_deaf_to_a_shard_s_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostLinks, "_not_mine", lambda *_: None)
    assert first_broken(UserActor).violation is not None


def test_copies_that_are_not_written_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(_: Copies, __: Sent) -> list[SendRequest]:
        return []

    monkeypatch.setattr(Copies, "write", forget)
    violation = first_broken(UserActor).violation
    assert violation is not None
    assert " has no copy of " in violation[1]


def first_broken_small(most: int) -> Outcome:
    """Play worlds that keep little only, up to the first that breaks."""
    runs = (play(seed, small=True) for seed in range(10_000, 10_000 + most))
    return next(run for run in runs if run.violation is not None)


def test_a_sweep_that_asks_no_device_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "acknowledged", lambda *_: Acknowledged(SEQ_LIMIT, SEQ_LIMIT))
    violation = first_broken_small(200).violation
    assert violation is not None
    assert violation[0] == "swept"


def test_content_that_does_not_disappear_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: sweeper.Sweeper) -> bool:
        return False

    monkeypatch.setattr(sweeper.Sweeper, "empty_expired", nothing)
    violation = first_broken_small(200).violation
    assert violation is not None
    assert violation[0] == "kept"


def test_a_full_mailbox_that_says_so_to_no_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is told that its message is accepted, and it goes nowhere."""

    def lie(_: Room, items: Iterable[SendRequest]) -> None:
        for item in items:
            item.answer(Accepted(item.frame.to, 1, 0, b""))

    monkeypatch.setattr(Room, "_refuse", lie)
    assert first_broken_small(200).violation is not None


def test_a_run_is_the_same_every_time_and_in_every_process() -> None:
    here = [play(seed) for seed in range(5)]
    assert [run.digest for run in here] == [play(seed).digest for seed in range(5)]
    code = "from sim.deterministic.runner import play; print(*(play(s).digest for s in range(5)))"
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert there.stdout.split() == [run.digest for run in here]


def test_the_steps_of_a_run_make_the_same_run() -> None:
    run = play(7)
    assert replay(7, run.plan, run.steps).digest == run.digest


def test_a_failing_run_is_made_shorter_and_still_fails() -> None:
    whole = first_broken(TellsTooEarly)

    def fails(steps: list[Step]) -> bool:
        again = replay(whole.seed, whole.plan, steps, TellsTooEarly).violation
        return again is not None and whole.violation is not None and again[0] == whole.violation[0]

    kept = shrink(whole.steps, fails)
    assert fails(kept)
    assert len(kept) < len(whole.steps) / 4
    assert not any(fails(kept[:n] + kept[n + 1 :]) for n in range(len(kept)))


def test_shrinking_leaves_what_is_needed() -> None:
    assert shrink(range(100), lambda kept: {13, 57} <= set(kept)) == [13, 57]


def test_lists_of_steps_are_written_and_read() -> None:
    chosen = [1, 2, 3, 7, 9, 10]
    assert written(chosen) == "1-3,7,9-10"
    assert list(numbers(written(chosen))) == chosen
    assert list(numbers("none")) == []


def test_the_command_says_how_to_play_a_violation_again_and_how_to_keep_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostLinks, "_not_mine", lambda *_: None)
    broken = first_broken(UserActor).seed
    assert main(["--seeds", "1", "--from", str(broken), "--jobs", "1", "--kind", "rules"]) == 1
    told = capsys.readouterr().out
    assert told.startswith(f"python -m sim.deterministic --seeds 1 --from {broken} --kind rules\n")
    [again] = [each for each in told.splitlines() if f"--replay {broken} --steps" in each]
    assert main(again.split()[3:]) == 1
    entry = told[told.index("    (Plan(") :]
    namespace = {"Plan": Plan, "_steps": found_runs._steps}
    plan, steps = eval(entry.strip().rstrip(","), namespace)
    assert replay(broken, plan, steps).violation is not None


def test_new_seeds_differ_every_time() -> None:
    first, second = (parser().parse_args(["--from", "new"]).first for _ in range(2))
    assert first != second


def test_a_commit_plays_seeds_of_its_own() -> None:
    first, second = (parser().parse_args(["--from", "commit"]).first for _ in range(2))
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if head.returncode == 0:
        assert first == second == int(head.stdout[:10], 16)
    else:  # a copy without its history
        assert first != second


def test_the_command_tells_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "20", "--jobs", "1"]) == 0
    told = capsys.readouterr().out
    assert "20 seeds" in told
    assert told.endswith("no violation\n")
    assert main(["--replay", "3", "--steps", "0-20", "--trace"]) == 0
    assert "21 steps" in capsys.readouterr().out
