"""The picture of a moment, operators' acts and operations, as pages are shown them."""

import asyncio
from typing import Any, cast

import pytest
from msgspec.structs import replace

from cluster.operations.plans import Operation
from cluster.ops import acts as acts_module
from cluster.ops.acts import Acts
from cluster.ops.line import EventLine
from cluster.ops.operations import KnownOperations
from cluster.ops.picture import Machines, name_of, shards_of
from cluster.ops.wire import Alarm, State
from storage.audit_chain import Act, AuditEntry, following
from storage.shard_map import ShardMap
from telemetry.role_figures import MachineFigures
from tests.unit.test_ops_events import NOW_MS, Rows, until_told

FIGURES = MachineFigures(1.5, 4.0, 10, 100, 20, 200)


def row(address: str, **changed: Any) -> dict[str, Any]:
    return {
        "node": address,
        "id": address,
        "hostname": f"h{address}",
        "cpus": 0.0,
        "drained": False,
    } | changed


def role(name: str, node: str, state: str = "running") -> dict[str, Any]:
    return {"role": "host", "name": name, "node": node, "state": state}


def test_a_machine_has_its_figures_while_it_is_alive_and_is_shown_for_a_while_after() -> None:
    machines = Machines()
    machines.heard("a", FIGURES)
    roles = [role("host-1", "a"), role("host-2", "b", "silent")]
    alive, cut_off = machines.states([row("a"), row("b", drained=True)], roles, 0)
    assert (alive.alive, alive.cpu, alive.cpus, alive.disk_free_bytes) == (True, 1.5, 4.0, 20)
    assert (cut_off.alive, cut_off.cpu, cut_off.cpus, cut_off.drained) == (False, None, None, True)
    left = {node.address: node for node in machines.states([row("b")], roles, 1)}
    assert (left["a"].alive, left["a"].cpu, left["a"].name) == (False, None, "ha")
    assert [node.address for node in machines.states([row("b")], roles, 600_002)] == ["b"]
    assert [node.alive for node in machines.states([row("a")], [], 600_003) if node.address == "a"] == [True]


def test_a_shard_moves_while_its_host_does_not_run() -> None:
    shards = shards_of(ShardMap(1, ("h1", "h2"), ("r1", "r1"), ("p1",)), {"h1", "r1"})
    assert [(each.host, each.pusher, each.moving) for each in shards] == [
        ("h1", "p1", False),
        ("h2", "", True),
    ]


def test_a_state_has_another_name_when_more_than_figures_changed() -> None:
    alarm = Alarm("RoostMailboxLag", 5, "1,001 records.", "problem", "docs/operations.md#x")
    state = State(
        0, 1, ready=True, shards=[], nodes=[], roles=[role("h", "a") | {"users": 1}], alarms=[alarm]
    )
    same = replace(
        state,
        at_ms=2,
        roles=[role("h", "a") | {"users": 2}],
        alarms=[replace(alarm, text="1,002 records.")],
    )
    assert name_of(same) == name_of(state)
    others = (
        replace(state, map_version=2),
        replace(state, alarms=[]),
        replace(state, roles=[role("h", "a", "silent")]),
    )
    assert len({name_of(each) for each in (state, *others)}) == 4


async def test_an_operation_is_told_when_it_begins_and_ends_and_shown_for_a_minute() -> None:
    now = [NOW_MS]
    line = EventLine(Rows(), lambda: now[0])
    known = KnownOperations(line, lambda: now[0])
    good, bad = Operation([]), Operation([])
    known.began(0, {"scale": {"host": 2, "router": 1}}, "user:ann", good)
    known.began(1, {"upgrade": True}, "operator:root@one", bad)
    good.lines.append("host-2 at work.")
    assert [(each.what, each.done, each.lines) for each in known.states()] == [
        ("host=2 router=1", False, ["host-2 at work."]), ("", False, []),
    ]  # fmt: skip
    good.done = bad.done = True
    bad.failure = "There is no machine."
    for _ in range(2):
        known.look()
    task = asyncio.create_task(line.run())
    told = await until_told(line, 4)
    task.cancel()
    assert [(each.kind, each.subject, each.by, each.level) for each in told] == [
        ("operation_begun", "scale host=2 router=1", "user:ann", "info"),
        ("operation_begun", "upgrade", "operator:root@one", "info"),
        ("operation_done", "scale host=2 router=1", "user:ann", "info"),
        ("operation_failed", "upgrade", "operator:root@one", "problem"),
    ]
    assert told[2].text == "scale host=2 router=1 is done. host-2 at work."
    now[0] += 60_001
    assert known.states() == []


class AuditLog:
    def __init__(self, *acts: Act) -> None:
        self.written: list[AuditEntry] = []
        for act in acts:
            self.append(act)

    def append(self, act: Act) -> None:
        self.written.append(following(self.written[-1] if self.written else None, act, NOW_MS))

    async def newest(self) -> int:
        return len(self.written)

    async def entries(self, after: int = 0, limit: int = 0) -> list[AuditEntry]:
        return self.written[after:][:limit]


async def test_acts_are_told_from_the_audit_log_once_also_by_the_next_coordinator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acts_module, "_EVERY_S", 0.001)
    audit, rows = AuditLog(Act("operator:root@one", "admin.grant", "long ago", "done")), Rows()

    async def follow(enough: int, *more: Act) -> list[str]:
        line = EventLine(rows, lambda: NOW_MS)
        rows.hangs.clear()  # the store takes its time
        telling = asyncio.create_task(line.run())
        following_it = asyncio.create_task(Acts(cast("Any", audit), line).run())
        await asyncio.sleep(0.01)
        rows.hangs.set()
        await asyncio.sleep(0.01)  # it has seen where the log ends
        for act in more:
            audit.append(act)
        told = await until_told(line, enough)
        for task in (following_it, telling):
            task.cancel()
        return [f"{each.text} {each.level}" for each in told]

    scaled = Act("user:ann", "scale", "host=2", "requested")
    looked = Act("user:ann", "user.look", "bob", "done")
    assert await follow(1, scaled, looked) == ["user.look bob: done info"]
    audit.append(Act("user:eve", "scale", "host=9", "refused: forbidden"))  # while no coordinator was there
    assert await follow(2) == ["user.look bob: done info", "scale host=9: refused: forbidden warning"]
