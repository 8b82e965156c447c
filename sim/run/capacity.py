"""The search for the capacity: the steps of a run judged one by one. Pure.

A run climbs a staircase (`sim.scenarios.staircase`: messages a second; `sim.scenarios.growing`: users), and
the answer is its last step before the latency goal or a promise was broken.
"""

from collections.abc import Sequence

from msgspec import Struct

from sim.checker import UNVERIFIED, Verdict
from sim.checker.verdict import percentiles
from sim.run.spec import Spec
from sim.scenarios.growing import online_at
from sim.scenarios.staircase import GROWTH, STEPS, step_of

GOALS = ("p50", "p95", "p99")


class BadGoal(ValueError):  # noqa: N818 -- named for what happened
    """The latency goal cannot be read; the sentence says how it is written."""


class Goal(Struct, frozen=True):
    """A latency goal: this percentile of send-to-deliver stays within so many milliseconds."""

    percentile: str
    ms: float

    @classmethod
    def parse(cls, text: str) -> "Goal":
        """Read ``p99=250ms``.

        Raises:
            BadGoal: It is not written like this.
        """
        name, _, value = text.partition("=")
        number = value.removesuffix("ms")
        if name not in GOALS or not number.replace(".", "", 1).isdecimal() or float(number) <= 0:
            raise BadGoal(f"A latency goal is written like p99=250ms ({', '.join(GOALS)}), not {text!r}.")
        return cls(name, float(number))

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.percentile}={self.ms:g}ms"


class Step(Struct, frozen=True):
    """One step of the run.

    Attributes:
        users: Users online.
        planned_per_s: Messages a second that were wanted.
        sent_per_s: Messages a second that were delivered of those sent on this step.
        took_ms: The goal's percentile of send-to-deliver; None: nothing was delivered.
        holds: It is within the goal.
    """

    users: int
    planned_per_s: float
    sent_per_s: float
    took_ms: float | None
    holds: bool


class Capacity(Struct, frozen=True):
    """The answer.

    Attributes:
        goal: As it was written.
        steps: Every step that was reached.
        reached: How many steps held, from the first on.
        first: What came first: ``latency``, ``ledger``, or ``end`` of the staircase.
        sentence: The answer for people.
    """

    goal: str
    steps: list[Step]
    reached: int
    first: str
    sentence: str


def capacity(spec: Spec, verdict: Verdict, go_us: int, goal: Goal) -> Capacity:
    """Judge the steps of a run that began at ``go_us``."""
    step_us = spec.duration_s * 1e6 / STEPS
    took: list[list[int]] = [[] for _ in range(STEPS)]
    for at_us, took_us in zip(verdict.send_deliver.at_us, verdict.send_deliver.took_us, strict=True):
        took[step_of((at_us - go_us) / 1e6 / spec.duration_s)].append(took_us)
    broken = min((story.at_us for story in verdict.stories if story.kind != UNVERIFIED), default=None)
    steps = [_step(spec, number, each, step_us, goal) for number, each in enumerate(took) if each]
    reached = next((number for number, step in enumerate(steps) if not step.holds), len(steps))
    first = "latency" if reached < len(steps) else "end"
    if broken is not None and (broken_at := step_of((broken - go_us) / 1e6 / spec.duration_s)) <= reached:
        reached, first = broken_at, "ledger"
    return Capacity(str(goal), steps, reached, first, _sentence(steps, reached, first, goal))


def _step(spec: Spec, number: int, took: Sequence[int], step_us: float, goal: Goal) -> Step:
    growing = spec.scenario == "growing"
    users = online_at(number, spec.users) if growing else spec.users
    planned = spec.rate * (users / spec.users if growing else GROWTH ** (number - STEPS + 1))
    value: float | None = getattr(percentiles(took), goal.percentile)
    holds = value is not None and value <= goal.ms
    return Step(users, round(planned, 1), round(len(took) / step_us * 1e6, 1), value, holds)


def _sentence(steps: Sequence[Step], reached: int, first: str, goal: Goal) -> str:
    if reached == 0:
        return f"Not even the first step held {goal}: lower --rate or --users."
    good = steps[reached - 1]
    said = (
        f"{good.users} users at {good.sent_per_s:.0f} messages/s: {goal.percentile} {good.took_ms:.0f} ms "
        "with 0 violations"
    )
    if first == "end":
        return f"{said}. The end of the staircase came first: raise --rate or --users."
    if first == "ledger":
        return f"{said}. The ledger broke first: see the stories of the violations."
    bad = steps[reached]
    return (
        f"{said}. The latency goal broke first, with {bad.users} users at {bad.planned_per_s:.0f} messages/s "
        f"({goal.percentile} {bad.took_ms or 0:.0f} ms)."
    )
