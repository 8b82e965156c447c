"""When a role is paused and resumed, and by which map it may write: the calls it gets, in order."""

import asyncio
import os
from typing import Any, cast

import pytest

from actors.ray_actor import RoleAway
from actors.service import Alive
from cluster.supervision.membership import Membership, Patience
from cluster.supervision.roles import Roles
from cluster.supervision.spares import Spares
from cluster.supervision.supervisor import Supervisor
from storage.shard_map import ShardMap


def map_of(version: int, shards: int) -> ShardMap:
    names = ("host-1",) * shards
    return ShardMap(version, names, names, names, (1,) * shards, {}, {})


def unused(*_: str) -> Any:
    raise AssertionError("there is no spare here")


class Role:
    """The process of a role: its calls, and what they leave it with."""

    def __init__(self) -> None:
        self.life, self.version, self.paused, self.deaf = "a", 0, False, False
        self.figures: dict[str, Any] = {}
        self.wrote_by: list[int] = []

    async def beat(self) -> tuple[Alive, dict[str, Any]]:
        self._hear()
        return Alive(self.life, os.getpid(), "node", "node", None), dict(self.figures)

    async def apply(self, shown: ShardMap) -> None:
        self._hear()
        self.version = shown.version

    async def pause_writes(self) -> None:
        self._hear()
        self.paused = True

    async def resume_writes(self) -> None:
        self._hear()
        self.paused = False
        self.wrote_by.append(self.version)

    async def status(self) -> dict[str, Any]:
        return dict(self.figures)

    def _hear(self) -> None:
        if self.deaf:
            raise RoleAway("It does not answer.")


class Looked:
    """A roles of one gateway, looked after step by step."""

    def __init__(self, machine: str = "elsewhere") -> None:
        self.role = Role()
        membership = Membership(Patience(1_000, 1_000))
        self.roles = Roles(membership)
        self.supervisor = Supervisor(
            "gateway",
            "gateway-1",
            spawn=lambda: cast("Any", self.role),
            membership=membership,
            heartbeat_s=0.01,
            changed=lambda: None,
            spares=Spares(0, machine, unused, lambda _node: False, unused),
        )
        membership.expect("gateway", "gateway-1", 0, may_own=True)
        self.roles.supervisors["gateway-1"] = self.supervisor

    async def visit(self) -> None:
        await self.supervisor._once()


@pytest.fixture
async def looked() -> Looked:
    found = Looked()
    await found.visit()
    found.roles.show(map_of(1, 2))
    await found.visit()
    return found


async def test_a_role_with_the_newest_map_resumes_at_once(looked: Looked) -> None:
    assert await looked.roles.pause_writes("gateway")
    assert looked.role.paused
    looked.roles.show(map_of(2, 4))
    await looked.visit()
    assert looked.role.paused, "it has the map, and others may not yet"
    await looked.roles.resume_writes()
    assert (looked.role.paused, looked.role.wrote_by) == (False, [2])


async def test_no_role_writes_with_an_outdated_map(looked: Looked) -> None:
    """It slept while the map was shown: what it writes by the old one would be on shards of other users."""
    assert await looked.roles.pause_writes("gateway")
    looked.role.deaf = True
    looked.roles.show(map_of(2, 4))
    with pytest.raises(RoleAway):
        await looked.visit()
    looked.role.deaf = False
    await looked.roles.resume_writes()
    assert looked.role.paused
    await looked.visit()
    assert (looked.role.paused, looked.role.wrote_by) == (False, [2])


async def test_a_new_coordinator_resumes_no_role_before_it_has_made_a_map() -> None:
    """The one before may have died while it added shards, with every role paused."""
    looked = Looked()
    looked.role.paused = True
    await looked.visit()
    await looked.roles.resume_writes()
    await looked.visit()
    assert looked.role.paused
    looked.roles.show(map_of(2, 4))
    await looked.visit()
    assert (looked.role.paused, looked.role.wrote_by) == (False, [2])


async def test_a_new_incarnation_is_paused_before_it_gets_a_map(looked: Looked) -> None:
    assert await looked.roles.pause_writes("gateway")
    looked.role.life, looked.role.paused, looked.role.version = "b", False, 0
    paused_by: list[int] = []
    hold = looked.role.pause_writes

    async def noted() -> None:
        paused_by.append(looked.role.version)
        await hold()

    looked.role.pause_writes = noted  # type: ignore[method-assign]
    await looked.visit()
    assert (paused_by, looked.role.paused, looked.role.version) == ([0], True, 1)


async def test_a_second_pause_during_the_first_resume_is_undone_as_well(looked: Looked) -> None:
    going = asyncio.Event()
    release = looked.role.resume_writes

    async def slow() -> None:
        await going.wait()
        await release()

    assert await looked.roles.pause_writes("gateway")
    await looked.visit()
    looked.role.resume_writes = slow  # type: ignore[method-assign]
    looked.supervisor.expect_paused(paused=False)
    visiting = asyncio.create_task(looked.visit())
    await asyncio.sleep(0)
    looked.supervisor.expect_paused(paused=True)
    looked.supervisor.expect_paused(paused=False)
    going.set()
    await visiting
    looked.role.paused = True
    await looked.visit()
    assert not looked.role.paused


async def test_an_idle_role_whose_exit_would_be_seen_is_checked_half_as_often() -> None:
    looked = Looked("node")
    await looked.visit()
    looked.role.figures = {"accepted": 1, "silent_s": 0.1}
    await looked.visit()
    assert looked.supervisor.pause_s == 0.01, "it has accepted something"
    looked.role.figures = {"accepted": 1, "silent_s": 0.2}
    await looked.visit()
    assert looked.supervisor.pause_s == 0.02
    looked.role.figures = {"accepted": 1, "silent_s": 1.2}
    await looked.visit()
    assert looked.supervisor.pause_s == 0.01, "the log does not answer it: its shards may have to move"
    looked.role.figures = {"accepted": 2, "silent_s": 0.2}
    await looked.visit()
    assert looked.supervisor.pause_s == 0.01


async def test_an_idle_role_on_another_machine_is_checked_at_the_usual_rate(looked: Looked) -> None:
    await looked.visit()
    await looked.visit()
    assert looked.supervisor.pause_s == 0.01, "the end of its process would be seen by a look only"
