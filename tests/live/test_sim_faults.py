"""Faults against a system of their own, under the traffic of real clients, judged by the ledger.

Few users and short runs; `make slow-test` has those that say least beside the others, and ``make faults``
plays each for a minute.
"""

import asyncio
from collections.abc import Callable

import pytest

from sim.faults.profiles import PROFILES
from sim.run.simulation import Options, Outcome, simulate
from tests.machine import Machine

pytestmark = pytest.mark.timeout(240)

TOLD_BY_OTHERS = {
    *("pause-gateway", "pause-pusher", "pause-coordinator", "pause-redis"),
    *(
        "pause-broker",
        "cut-redis",
        "slow-mongo",
        "slow-kafka",
        "slow-redis",
        "fcm-slow",
        "fcm-unavailable",
        "fcm-unregistered",
        "fcm-quota",
    ),
}
RUNS = {
    "most": [name for name in PROFILES if name not in TOLD_BY_OTHERS],
    "others": sorted(TOLD_BY_OTHERS),
}
SECONDS_EACH = 3.0
CALM_S = 15.0


def test_every_fault_is_in_one_of_the_runs() -> None:
    assert sorted(name for names in RUNS.values() for name in names) == sorted(PROFILES)


@pytest.mark.parametrize("run", ["most", pytest.param("others", marks=pytest.mark.slow)])
def test_the_ledger_holds_under_every_fault(
    machine: Machine, run: str, tell: Callable[[str, float], None]
) -> None:
    machine.end()  # one system at a time
    names = RUNS[run]
    options = Options(
        users=20,
        rate=25.0,
        duration_s=CALM_S + SECONDS_EACH * len(names),
        seed=7,
        scenario="office-day",
        faults=",".join(names),
        settle_s=45.0,
    )
    outcome = asyncio.run(simulate(options, ["roost", "sim"], lambda *_: None))
    for fault in outcome.run.faults:
        tell(f"{fault.name} on {fault.target}, all well after", fault.recovery_s or -1.0)
    _check(outcome, names)


def _check(outcome: Outcome, names: list[str]) -> None:
    verdict = outcome.run.verdict
    assert verdict.holds, [(story.title, story.lines) for story in verdict.stories]
    assert outcome.run.settled, outcome.info.remarks
    assert not outcome.run.missed_faults
    struck = {fault.name for fault in outcome.run.faults}
    assert struck == set(names) - {"skewed-clocks"} or struck == set(names)
    assert not [fault for fault in outcome.run.faults if fault.healed_us is None]
    assert verdict.totals.sent > 100
