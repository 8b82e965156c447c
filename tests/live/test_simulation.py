"""The harness against a running system: it finds nothing where nothing is wrong, and names what is."""

from pathlib import Path

import pytest

from sim.faults.system import attached
from sim.run.conductor import Conductor, Run, run_name
from sim.run.spec import Spec
from tests.live import liars
from tests.live.running import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


async def play(
    system: System,
    folder: Path,
    *,
    scenario: str = "steady",
    light: bool = False,
    users: int = 2,
    duration_s: float = 2,
    settle_s: float = 2,
) -> Run:
    spec = Spec(
        server=system.http,
        fcm=system.ready["fcm"],
        folder=str(folder),
        name=run_name(),
        users=users,
        rate=20,
        duration_s=duration_s,
        seed=5,
        scenario=scenario,
        devices=0 if users == 2 else 0.2,
        polls=0 if users == 2 else 0.2,
        settle_s=settle_s,
        light=light,
    )
    async with attached(system.http) as found:
        return await Conductor(found, spec, [], lambda *_: None).conduct()


@pytest.mark.parametrize("scenario", ["flaky-mobile", "morning"])
async def test_a_run_without_faults_holds(system: System, tmp_path: Path, scenario: str) -> None:
    run = await play(system, tmp_path, scenario=scenario, users=12, duration_s=3, settle_s=20)
    assert run.verdict.holds, run.verdict.stories
    assert run.settled
    assert run.verdict.unverified == 0
    totals = run.verdict.totals
    assert totals.sent == totals.accepted == totals.delivered == totals.acked > 0
    assert not run.harness[0].troubles


LIES = {
    "lost": (liars.Drops, False),
    "reordered": (liars.Swaps, False),
    "duplicated": (liars.Doubles, False),
    "phantom": (liars.Invents, True),
    "undecryptable": (liars.Flips, False),
    "acked_not_stored": (liars.Pretends, True),
    "receipt_without_delivery": (liars.Foretells, False),
    "receipt_backwards": (liars.TakesBack, False),
}
"""The lie for each violation, and whether it is told to phones without cryptography: others see through."""


QUICK = ("lost", "phantom", "receipt_without_delivery")
"""Each kind has unit tests of the checker; these show that the phones record what it needs."""


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in LIES]
)
async def test_a_lie_is_found_and_named(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lie, light = LIES[kind]
    with liars.lying(monkeypatch, lie):
        run = await play(system, tmp_path, light=light)
    assert kind in run.verdict.broken, run.verdict.counts
    assert any(story.kind == kind and story.lines for story in run.verdict.stories)
