"""The stories that a simulation can play, one a file; a new one is a new line here."""

from typing import Final

from sim.scenarios import (
    burst,
    celebrity,
    flaky_mobile,
    growing,
    long_offline,
    morning,
    office_day,
    retention,
    staircase,
    steady,
)
from sim.workload import Scenario

SCENARIOS: Final[dict[str, Scenario]] = {
    "steady": steady.story,
    "burst": burst.story,
    "morning": morning.story,
    "celebrity": celebrity.story,
    "office-day": office_day.story,
    "long-offline": long_offline.story,
    "flaky-mobile": flaky_mobile.story,
    "staircase": staircase.story,
    "growing": growing.story,
    "retention": retention.story,
}
"""Scenarios by name."""


def about(scenario: Scenario) -> str:
    """Return the sentence that says what a scenario is about."""
    return (scenario.__doc__ or "").partition("\n")[0]
