"""Runs of the control plane that once broke a rule, as lists of steps.

What happens in between depends on latencies that are drawn as time passes, so that a change of the code may
have a run no longer go where it once broke: each fault has a test of its own as well.
"""

from typing import Any

from sim.deterministic.control.steps import Step
from sim.deterministic.control.world import Plan


def _steps(text: str) -> list[Step]:
    return [tuple(map(_part, line.split())) for line in text.strip().splitlines()]


def _part(word: str) -> Any:
    return int(word) if word.isdigit() else word


FOUND: dict[str, tuple[Plan, list[Step]]] = {
    "a machine that left while a rollout began had who came struck from the roster": (
        Plan(
            seed=3815648847, nodes=1, hosts=2, routers=1, gateways=2, pushers=1, spares=0, shards=4,
            slowest_ms=5, start_ms=2000, renewed=0, exam=True,
        ),
        _steps("""
            join 0
            drain n2 300
            undrain n1 12000
            hang-coordinator 300
            scale pusher 2 100
            cut n2 2500
            kill router-3 12000
        """),
    ),
    "a spare that had become a role, and was forgotten before it got a map, lived on under that name": (
        Plan(
            seed=1150806094, nodes=1, hosts=1, routers=1, gateways=2, pushers=1, spares=1, shards=1,
            slowest_ms=20, start_ms=400, renewed=0, exam=False,
        ),
        _steps("""
            trouble cache refused 5 12000
            kill gateway-2 20
            away log 12000
            away store 2500
            kill-coordinator 4 100
            kill gateway-2 1000
        """),
    ),
    "a role that came for one that did not hand over stayed beside it": (
        Plan(
            seed=3862132101, nodes=2, hosts=2, routers=1, gateways=1, pushers=2, spares=1, shards=2,
            slowest_ms=20, start_ms=2000, renewed=0, exam=True,
        ),
        _steps("""
            upgrade 0
            heal n2 2500
            hang-coordinator 300
            away store 12000
            time 2500
            hang-coordinator 2500
            time 2500
            hang-coordinator 6000
            upgrade 6000
        """),
    ),
    "a pusher began a new log where the pool was in the earlier one": (
        Plan(
            seed=2397951688, nodes=3, hosts=2, routers=2, gateways=1, pushers=2, spares=1, shards=1,
            slowest_ms=5, start_ms=400, renewed=0, exam=False,
        ),
        _steps("""
            drain n3 6000
            away store 12000
            sever n2 0
            back store 300
            lose-log 2500
            time 1000
            drain-role pusher-2 300
            sever n3 12000
            scale pusher 2 12000
            drain-role pusher-4 100
        """),
    ),
    "whoever began with wake-ups in a new log, its pushers gone, began where they were in the earlier one": (
        Plan(
            seed=954258952, nodes=3, hosts=2, routers=1, gateways=1, pushers=1, spares=1, shards=1,
            slowest_ms=20, start_ms=2000, renewed=40, exam=False,
        ),
        _steps("""
            crash n3 2500
            coordinator-goes-on 2500
            crash n2 0
            lose-log 6000
        """),
    ),
    "a coordinator that had not seen the machines yet said that there is no such machine": (
        Plan(
            seed=2904306726, nodes=2, hosts=2, routers=1, gateways=1, pushers=2, spares=0, shards=4,
            slowest_ms=100, start_ms=2000, renewed=0, exam=False,
        ),
        _steps("""
            away cache 6000
            back cache 0
            push-fails 17 20
            kill-coordinator 0 300
            undrain n2 6000
            head 2500
            scale pusher 1 20
            sever n2 20
            time 100
            time 12000
            time 1000
            time 20
            join 2500
            drain n1 300
            kill-coordinator 3 0
            time 2500
            push-fails 6 6000
            undrain n2 2500
            away cache 20
            kill-coordinator 38 20
        """),
    ),
}  # fmt: skip
