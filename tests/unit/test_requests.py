"""Requests of operators: refused where they make no sense, carried out one at a time, their end told."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from actors.service import Node
from cluster.operations.plans import Operation, Plans
from cluster.operations.requests import Operations
from cluster.operations.rollout import OperationRefused
from cluster.operations.witness import Witness
from roost.errors import Unavailable
from storage.audit_chain import Act, AuditEntry, following


class AuditInMemory:
    def __init__(self) -> None:
        self.kept: list[AuditEntry] = []

    async def append(self, act: Act, at_ms: int) -> AuditEntry:
        self.kept.append(following(self.kept[-1] if self.kept else None, act, at_ms))
        return self.kept[-1]

    async def entries(self, after: int = 0, limit: int = 0) -> list[AuditEntry]:
        return self.kept[after : after + limit if limit else None]


class Site:
    """A roster of one machine with one host and two routers, and rollouts that wait until they may."""

    def __init__(self, first: int = 7) -> None:
        self.roster: Any = SimpleNamespace(
            nodes=[Node("n1", "10.0.0.1", head=True)],
            node=lambda target: self.roster.nodes[0] if target == "10.0.0.1" else None,
            of=lambda role: {"host": ["host-1"], "router": ["router-1", "router-2"]}.get(role, []),
            fresh=lambda role, count: [f"{role}-{9 + n}" for n in range(count)],
        )
        self.may, self.runs = asyncio.Event(), list[tuple[list[str], list[str]]]()
        self.failure: Exception | None = None
        self.rollout: Any = SimpleNamespace(exclusive=asyncio.Lock(), run=self.run, finish=self.finish)
        names = dict.fromkeys(["host-1", "router-1", "router-2"])
        lifecycle: Any = SimpleNamespace(topics=SimpleNamespace(shards=2))
        roles: Any = SimpleNamespace(supervisors=names)
        plans = Plans(roles, self.roster, self.rollout, lifecycle, lambda _: asyncio.sleep(0, 0))
        self.audit = AuditInMemory()
        self.operations = Operations(plans, self.rollout, Witness(self.audit, lambda: 7), first)

    async def finish(self) -> list[str]:
        return []

    async def run(self, come: list[str], go: list[str], tell: Any) -> list[str]:
        self.runs.append((come, go))
        await self.may.wait()
        if self.failure is not None:
            raise self.failure
        tell("done.")
        return []


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"scale": {"coordinator": 2}}, "There is no role 'coordinator' to scale"),
        ({"scale": {"host": 0}}, "host=0 is not possible"),
        ({"grow": 3}, "From 2 shards there is no way to 3"),
        ({"drain": "host-1"}, "host-1 is the only host"),
        ({"drain": "10.0.0.1"}, "10.0.0.1 is the only machine"),
        ({"undrain": "10.0.0.7"}, "There is no role and no machine '10.0.0.7'"),
    ],
)
async def test_senseless_options_are_refused_at_once(request_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OperationRefused) as refused:
        Site().operations.submit(request_, "ann")
    assert sentence in refused.value.detail


async def test_before_the_machines_are_seen_none_is_said_to_be_missing() -> None:
    site = Site()
    del site.roster.nodes[:]
    for act in ("drain", "undrain"):
        with pytest.raises(OperationRefused, match="starting, and has yet to see the machines"):
            site.operations.submit({act: "10.0.0.7"}, "ann")


async def test_one_request_at_a_time_and_each_is_followed_by_its_number() -> None:
    site = Site()
    first, one = site.operations.submit({"scale": {"router": 3}}, "ann")
    second, two = site.operations.submit({"drain": "router-2"}, "ann")
    tasks = [asyncio.create_task(each) for each in (one, two)]
    await asyncio.sleep(0.01)
    assert site.runs == [(["router-9"], [])], "the second waits for the first"
    assert not site.operations.progress(first).done
    site.may.set()
    await asyncio.gather(*tasks)
    assert site.runs[1] == ([], ["router-2"])
    assert site.operations.progress(second) == Operation(["done."], done=True)
    idle = "There are 2 shards, so 1 of the 3 routers have nothing to do. More shards: roost scale shards=4."
    assert site.operations.progress(first).lines == ["done.", idle]


async def test_a_failed_operation_says_why_and_ends() -> None:
    site = Site()
    site.failure = Unavailable("MongoDB is away.")
    site.may.set()
    number, carried_out = site.operations.submit({"scale": {"router": 3}}, "ann")
    await carried_out
    assert site.operations.progress(number) == Operation([], done=True, failure="MongoDB is away.")
    written = [(each.actor, each.act, each.target, each.outcome) for each in site.audit.kept]
    what = ("ann", "scale", "router=3")
    assert written == [(*what, "requested"), (*what, "failed: MongoDB is away.")]


async def test_asking_after_a_restart_says_so() -> None:
    with pytest.raises(OperationRefused, match="restarted"):
        Site().operations.progress(7)


async def test_no_coordinator_takes_anothers_operation_for_its_own() -> None:
    before, now = Site(first=7), Site(first=9)
    number, carried_out = before.operations.submit({"scale": {"router": 3}}, "ann")
    another, carried_out_too = now.operations.submit({"drain": "router-2"}, "bob")
    carried_out.close()
    carried_out_too.close()
    assert number != another
    with pytest.raises(OperationRefused, match="restarted"):
        now.operations.progress(number)
