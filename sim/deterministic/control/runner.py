"""Plays runs of the control plane: one from its seed, or from a list of steps."""

import logging
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from random import Random
from typing import Any

import structlog

from sim.deterministic.control.settling import settle
from sim.deterministic.control.steps import KINDS, Step, drawn, perform
from sim.deterministic.control.truth import Truth
from sim.deterministic.control.world import Plan, World
from sim.deterministic.drawing import drawing
from sim.deterministic.runner import Outcome

_LENGTHS = (10, 20, 30)
_GAVE_UP = ("background_task_failed", "role_not_looked_after")
"""Log events of what went on without something that it should have, and of what nearly did."""


def plan_of(rng: Random) -> Plan:
    """Draw the size of a world."""
    return Plan(
        seed=rng.randrange(2**32),
        nodes=rng.choice((1, 2, 3)),
        hosts=rng.choice((1, 2, 2)),
        routers=rng.choice((1, 2)),
        gateways=rng.choice((1, 1, 2)),
        pushers=rng.choice((1, 1, 2)),
        spares=rng.choice((0, 1, 1)),
        shards=rng.choice((1, 2, 4)),
        slowest_ms=rng.choice((5, 20, 100)),
        start_ms=rng.choice((400, 2000)),
        renewed=rng.choice((0, 0, 40)),
        exam=rng.random() < 0.25,  # noqa: PLR2004 -- a quarter of them
    )


def play(seed: int) -> Outcome:
    """Play the run of a seed."""
    rng = Random(seed)  # noqa: S311 -- a run is to be repeated, not to be secret
    outcome = Outcome(seed, plan_of(rng))
    steps: Callable[[World], Iterator[Step]] = drawing(rng, KINDS, _LENGTHS, drawn)
    return _run(outcome, steps)


def replay(seed: int, plan: Plan, steps: Iterable[Step]) -> Outcome:
    """Play exactly these steps."""
    return _run(Outcome(seed, plan), lambda _: steps)


def _run(outcome: Outcome, steps: Callable[[World], Iterable[Step]]) -> Outcome:
    world = World(outcome.plan)
    with _heard(world.truth):
        try:
            for step in steps(world):
                outcome.steps.append(step)
                if perform(world, step) and KINDS[step[0]].fault:
                    outcome.faults[step[0]] += 1
                if world.truth.violation is not None:
                    break
            else:
                settle(world)
            outcome.violation = world.truth.violation
        except Exception as exc:  # noqa: BLE001 -- whatever the parts raise is what was looked for
            outcome.violation = (type(exc).__name__, f"something raised {exc!r}")
        finally:
            world.close()
    outcome.messages = len(world.truth.accepted)
    outcome.digest = world.digest
    return outcome


@contextmanager
def _heard(truth: Truth) -> Iterator[None]:
    """Have log lines go nowhere, but for those that say that something has given up."""

    def hear(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        if event["event"] in _GAVE_UP:
            truth.fail("gave up", f"{event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), processors=[hear])
    try:
        yield
    finally:
        structlog.configure(**before)
