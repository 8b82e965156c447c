"""A fault happens to a system that runs already, and is over when all is well again."""

from collections.abc import Callable

import pytest

from sim.faults.schedule import Strike, schedule
from sim.faults.strike import strike
from sim.faults.system import CannotStrike, attached
from tests.live.running import System

pytestmark = pytest.mark.timeout(240)

KILLED = Strike(0.0, "kill-router", "router", 0.0, draw=0.99)
BUSY = Strike(0.0, "fcm-quota", "fcm", 0.5, amount=1.0)


async def test_a_running_system_is_struck_and_well_again(
    system: System, tell: Callable[[str, float], None]
) -> None:
    plans = [KILLED, BUSY]
    spare = await system.spare()
    before = {row["name"]: row["pid"] for row in await system.roles() if row["role"] != "spare"}
    async with attached(system.http, plans, data=system.data) as struck:
        assert await struck.trouble() == ""
        results = [await strike(struck, plan) for plan in plans]
        usage = struck.usage()
    after = {row["name"]: row["pid"] for row in await system.roles()}
    victim = max(name for name in before if name.startswith("router"))
    assert [each.target for each in results] == [victim, "fcm"]
    assert {name for name in before if before[name] != after[name]} == {victim}
    assert after[victim] == spare["pid"], "it came back as another process than the spare's"
    for result, plan in zip(results, plans, strict=True):
        assert result.recovery_s is not None, result
        assert result.ends_us - result.begins_us >= plan.lasts_s * 1_000_000
        tell(f"{result.name}, well again", result.recovery_s)
    assert {"host", "gateway", "mongo", "kafka"} <= usage.keys()
    assert all(cost.cpu_s > 0 and cost.memory > 0 for cost in usage.values()), usage


@pytest.mark.parametrize(
    ("fault", "with_data", "missing"),
    [
        ("kill-host", False, "give --data DIR"),
        ("cut-mongo", True, "without --server"),
        ("full-disk", True, "as root"),
        ("fcm-slow", False, "the embedded push endpoint"),
    ],
)
async def test_what_a_running_system_does_not_offer_is_refused(
    *, fault: str, with_data: bool, missing: str, system: System
) -> None:
    data = system.data if with_data else None
    with pytest.raises(CannotStrike, match=missing):
        async with attached(system.http, schedule(fault, 1, 60), data=data):
            pytest.fail("it was taken")


async def test_what_happens_to_clients_only_needs_no_more_than_the_address(system: System) -> None:
    [plan] = schedule("skewed-clocks", 1, 0.5)
    async with attached(system.http, [plan]) as struck:
        result = await strike(struck, plan)
    assert (result.target, result.note) == ("clients", "")
