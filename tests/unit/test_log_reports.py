"""What the coordinator does about the routers' word on the log: at once, if it is about the present log."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.service import ClusterView, Node
from cluster.control.coordinator import Coordinator
from cluster.settings import Settings
from tests.unit.test_log_keeper import SHARDS, World


class Reports:
    """A coordinator with one router, which says what the test puts into its figures."""

    def __init__(self, world: World, **settings: Any) -> None:
        loaded = Settings.load({"shards": SHARDS} | settings)
        servers: Any = world
        store: Any = SimpleNamespace(cluster=world)
        self.coordinator = Coordinator(
            loaded, store, servers, lambda *_: servers, list, Node("here", "127.0.0.1")
        )
        self.keeper = self.coordinator._log
        self.keeper._crew = world
        self.router = SimpleNamespace(role="router", name="router-1", figures=dict[str, Any](), current=True)
        self.coordinator._crew.keepers["router-1"] = cast("Any", self.router)

    async def open(self) -> None:
        await self.keeper.open()
        names = ("a",) * SHARDS
        self.coordinator._view = ClusterView(1, names, names, names, self.keeper.bases, {}, {})

    def say(self, bases: tuple[int, ...], *, lost: tuple[int, ...] = (), end: int = 0) -> None:
        self.router.figures = {
            "bases": dict(enumerate(bases)),
            "lost": list(lost),
            "ends": dict.fromkeys(range(SHARDS), end),
        }

    async def look(self) -> None:
        await self.coordinator._look_at_log()
        await asyncio.gather(*self.coordinator._tasks)


@pytest.fixture
async def reports() -> Reports:
    found = Reports(World(), log={"max_records": 100})
    await found.open()
    return found


async def test_a_loss_right_after_a_renewal_is_acted_upon(reports: Reports) -> None:
    reports.say(reports.keeper.bases, end=50)
    old = reports.keeper.bases
    await reports.look()
    renewed = reports.keeper.bases
    assert min(renewed) > max(old), "150 records are more than 100"
    reports.say(renewed, lost=(1,))
    await reports.look()
    assert reports.keeper.bases[1] > renewed[1]
    assert (reports.keeper.bases[0], reports.keeper.bases[2]) == (renewed[0], renewed[2])


async def test_what_was_said_of_the_log_before_counts_no_more(reports: Reports) -> None:
    old = reports.keeper.bases
    reports.say(old, lost=(1,))
    await reports.look()
    raised = reports.keeper.bases
    assert raised[1] > old[1]
    await reports.look()
    reports.say(old, lost=(1,), end=0)
    await reports.look()
    reports.say((raised[0], old[1], raised[2]), lost=(1,), end=50)
    await reports.look()
    assert reports.keeper.bases == raised, "neither lost again, nor full by the ends of an earlier log"


async def test_a_renewal_that_did_not_come_about_is_not_tried_again_at_once(reports: Reports) -> None:
    world = cast("World", reports.keeper._crew)
    world.restart_while_draining = True
    before = reports.keeper.bases
    reports.say(before, end=50)
    await reports.look()
    world.restart_while_draining = False
    await reports.look()
    assert reports.keeper.bases == before
