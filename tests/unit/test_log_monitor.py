"""What is done about the routers' word on the log: at once, if it is about the present log."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.control.log_monitor import LogMonitor
from cluster.settings import Log
from cluster.supervision.membership import Membership, Patience
from cluster.supervision.roles import Roles
from roost.tasks import BackgroundTasks
from tests.unit.test_log_lifecycle import SHARDS, World, lifecycle


class Reports:
    """A monitor of one router, which says what the test puts into its figures."""

    def __init__(self, world: World, most: Log) -> None:
        self.world, self.log = world, lifecycle(world)
        self.router = SimpleNamespace(role="router", name="router-1", figures=dict[str, Any](), current=True)
        roles = Roles(Membership(Patience(1_000, 1_000)))
        roles.supervisors["router-1"] = cast("Any", self.router)
        self.tasks = BackgroundTasks()
        self.monitor = LogMonitor(self.log, roles, most, self.tasks)

    def say(self, bases: tuple[int, ...], *, lost: tuple[int, ...] = (), end: int = 0) -> None:
        self.router.figures = {
            "bases": dict(enumerate(bases)),
            "lost": list(lost),
            "ends": dict.fromkeys(range(SHARDS), end),
        }

    async def look(self) -> None:
        self.monitor.look()
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert await self.log.finished(5)
            while self.tasks:
                await asyncio.sleep(0.001)


@pytest.fixture
async def reports() -> Reports:
    found = Reports(World(), Log(max_records=100))
    await found.log.open()
    return found


async def test_a_loss_right_after_a_renewal_is_acted_upon(reports: Reports) -> None:
    reports.say(reports.log.topics.bases, end=50)
    old = reports.log.topics.bases
    await reports.look()
    renewed = reports.log.topics.bases
    assert min(renewed) > max(old), "150 records are more than 100"
    reports.say(renewed, lost=(1,))
    await reports.look()
    assert reports.log.topics.bases[1] > renewed[1]
    assert (reports.log.topics.bases[0], reports.log.topics.bases[2]) == (renewed[0], renewed[2])


async def test_reports_about_the_previous_log_no_longer_count(reports: Reports) -> None:
    old = reports.log.topics.bases
    reports.say(old, lost=(1,))
    await reports.look()
    raised = reports.log.topics.bases
    assert raised[1] > old[1]
    await reports.look()
    reports.say(old, lost=(1,), end=0)
    await reports.look()
    reports.say((raised[0], old[1], raised[2]), lost=(1,), end=50)
    await reports.look()
    assert reports.log.topics.bases == raised, "neither lost again, nor full by the ends of an earlier log"


async def test_a_failed_renewal_is_not_retried_at_once(reports: Reports) -> None:
    reports.world.restart_while_draining = True
    before = reports.log.topics.bases
    reports.say(before, end=50)
    await reports.look()
    reports.world.restart_while_draining = False
    await reports.look()
    assert reports.log.topics.bases == before
