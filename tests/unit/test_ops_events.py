"""The line of events: what is noted, when it is told, and what becomes of it while the store is away."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from cluster.ops import line as module
from cluster.ops.absences import BORNE_MS
from cluster.ops.changes import Changes, log_changes
from cluster.ops.line import EventLine
from cluster.ops.looks import Look, Noted, RoleLook
from roost.errors import Unavailable
from storage.event_records import Event
from storage.shard_map import ShardMap

NOW_MS = 1_795_000_000_000


class Rows:
    """A store of events in memory, which may be away, or take its time."""

    def __init__(self) -> None:
        self.kept: dict[int, Event] = {}
        self.away = False
        self.hangs = asyncio.Event()
        self.hangs.set()

    async def keep(self, events: Sequence[Event]) -> None:
        await self._answers()
        self.kept |= {event.n: event for event in events}

    async def newest(self, limit: int, before: int = 0, after: int = 0) -> list[Event]:
        await self._answers()
        found = [
            self.kept[n] for n in sorted(self.kept, reverse=True) if n > after and (not before or n < before)
        ]
        return found[:limit]

    async def trim(self, most: int, before: int) -> None:  # noqa: ARG002 -- the port's
        await self._answers()

    async def _answers(self) -> None:
        await self.hangs.wait()
        if self.away:
            raise Unavailable("MongoDB is away.")


@asynccontextmanager
async def running(rows: Rows, now_ms: int = NOW_MS) -> AsyncIterator[EventLine]:
    line = EventLine(rows, lambda: now_ms)
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_told(line: EventLine, count: int) -> list[Event]:
    async with asyncio.timeout(5):
        while len(line.last()) < count:
            await asyncio.sleep(0)
    return line.last()


def note(line: EventLine, subject: str) -> None:
    line.note("role_started", subject, f"{subject} started.")


async def test_an_event_is_told_once_it_is_stored() -> None:
    rows = Rows()
    async with running(rows) as line:
        await line.loaded.wait()
        rows.hangs.clear()
        note(line, "host-1")
        note(line, "host-2")
        await asyncio.sleep(0.01)
        assert line.last() == []
        rows.hangs.set()
        told = await until_told(line, 2)
        assert list(rows.kept.values()) == told
        assert [event.n for event in told] == [NOW_MS * 1000, NOW_MS * 1000 + 1]
        assert line.after(line.told) == []


async def test_the_line_outlives_the_coordinator_and_its_clock() -> None:
    rows = Rows()
    async with running(rows) as line:
        note(line, "host-1")
        await until_told(line, 1)
    async with running(rows, NOW_MS - 5000) as line:
        await until_told(line, 1)
        note(line, "host-2")
        told = await until_told(line, 2)
    assert [event.subject for event in told] == ["host-1", "host-2"]
    assert told[1].n == told[0].n + 1


async def test_while_the_store_is_away_events_are_told_as_not_stored_and_again_once_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_HIDDEN_S", 0.01)
    rows = Rows()
    async with running(rows) as line:
        note(line, "host-1")
        await until_told(line, 1)
        rows.hangs.clear()
        note(line, "mongo")
        [_, event] = await until_told(line, 2)
        assert not event.stored
        seen = line.told
        rows.hangs.set()
        async with asyncio.timeout(5):
            while not line.last()[-1].stored:
                await asyncio.sleep(0)
        assert [(each.n, each.stored) for each in line.after(seen)] == [(event.n, True)]
        assert event.n in rows.kept


async def test_a_coordinator_that_starts_while_the_store_is_away_tells_at_once() -> None:
    rows = Rows()
    rows.away = True
    async with running(rows) as line:
        note(line, "coordinator")
        [event] = await until_told(line, 1)
        assert not event.stored
        rows.away = False
        async with asyncio.timeout(5):
            while event.n not in rows.kept:
                await asyncio.sleep(0.01)


async def test_what_has_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UNSTORED_MAX", 3)
    rows = Rows()
    rows.hangs.clear()
    async with running(rows) as line:
        for number in range(5):
            note(line, f"host-{number}")
        rows.hangs.set()
        told = await until_told(line, 4)
    assert [event.subject for event in told] == ["host-2", "host-3", "host-4", "events"]
    assert told[-1].kind == "events_dropped"
    assert told[-1].more == {"count": 2}


# --- what changed --------------------------------------------------------------------------------------


def role(incarnation: str = "a", *, state: str = "running", pid: int = 1, release: str = "1.0") -> RoleLook:
    return RoleLook("host", state, incarnation, pid, "10.0.0.1", release)


def kinds(noted: list[Noted]) -> list[str]:
    return [each.kind for each in noted]


def test_a_coordinator_that_comes_back_tells_of_what_changed_only() -> None:
    """What the last map says of incarnations is what there was."""
    before = ShardMap(
        4, ("host-1",), ("r",), ("p",), incarnations={"host-1": "a", "host-2": "b", "host-3": ""}
    )
    changes = Changes(before)
    first = Look(roles={"host-1": role(state="starting", incarnation="")}, shard_map=before)
    assert changes.since(first) == []
    there = {"host-1": role("a"), "host-2": role("c", pid=7), "host-3": role("d")}
    noted = changes.since(Look(roles=there, shard_map=before))
    assert [(each.kind, each.subject) for each in noted] == [
        ("role_replaced", "host-2"),
        ("role_started", "host-3"),
    ]


def test_a_role_that_ends_comes_back_or_is_dismissed() -> None:
    changes = Changes(ShardMap(0, (), (), ()))
    assert kinds(changes.since(Look(roles={"host-1": role(pid=1)}))) == ["role_started"]
    assert kinds(changes.since(Look(roles={"host-1": role(state="restarting")}))) == ["role_ended"]
    [again] = changes.since(Look(roles={"host-1": role()}))
    assert (again.kind, again.more["again"]) == ("role_started", True)
    [replaced] = changes.since(Look(roles={"host-1": role("b", pid=2)}))
    assert (replaced.kind, replaced.level, replaced.more["before"]) == ("role_replaced", "warning", 1)
    [ended] = changes.since(Look(roles={}))
    assert (ended.kind, ended.level) == ("role_ended", "info")


def test_a_silence_is_told_once_it_lasts() -> None:
    changes = Changes(ShardMap(0, (), (), ()))
    changes.since(Look(0, {"host-1": role()}))
    assert changes.since(Look(100, {"host-1": role(state="silent")})) == []
    assert changes.since(Look(90 + BORNE_MS, {"host-1": role(state="silent")})) == []
    assert changes.since(Look(95 + BORNE_MS, {"host-1": role()})) == []  # it came back: no news either
    assert changes.since(Look(2_000, {"host-1": role(state="silent")})) == []
    [ended] = changes.since(Look(2_000 + BORNE_MS, {"host-1": role(state="silent")}))
    assert (ended.kind, ended.text) == ("role_ended", "host-1 does not respond.")
    assert changes.since(Look(9_000, {"host-1": role(state="silent")})) == []
    [again] = changes.since(Look(9_100, {"host-1": role()}))
    assert (again.kind, again.more["again"]) == ("role_started", True)


def test_a_silence_is_told_before_the_shards_that_move_for_it() -> None:
    changes = Changes(ShardMap(1, ("h",), ("router-1",), ("p",)))
    before, after = (ShardMap(n, ("h",), (f"router-{n}",), ("p",)) for n in (1, 2))
    changes.since(Look(0, {"router-1": role()}, shard_map=before))
    assert changes.since(Look(100, {"router-1": role(state="silent")}, shard_map=before)) == []
    noted = changes.since(Look(200, {"router-1": role(state="silent")}, shard_map=after))
    assert kinds(noted) == ["role_ended", "shards_moved"]


def test_a_machine_that_is_cut_off_is_told_of_instead_of_each_of_its_roles() -> None:
    changes = Changes(ShardMap(0, (), (), ()))
    nodes = {key: {"node": f"10.0.0.{key}", "hostname": key, "drained": False} for key in ("oak", "yew")}

    def roles(state: str) -> dict[str, RoleLook]:
        on_yew = {name: RoleLook("host", state, name, 1, "10.0.0.yew") for name in ("host-1", "host-2")}
        return on_yew | {"host-3": RoleLook("host", "running", "c", 2, "10.0.0.oak")}

    changes.since(Look(0, roles("running"), nodes))
    assert changes.since(Look(100, roles("silent"), nodes)) == []
    [silent] = changes.since(Look(100 + BORNE_MS, roles("silent"), nodes))
    assert (silent.kind, silent.level, silent.subject) == ("node_silent", "problem", "10.0.0.yew")
    assert silent.text == "The machine yew does not respond, and with it host-1, host-2."
    assert kinds(changes.since(Look(9_000, roles("running"), nodes))) == ["role_started"] * 2


def test_a_new_release_is_told_once() -> None:
    changes = Changes(ShardMap(0, (), (), ()))
    changes.since(Look(roles={"host-1": role(), "host-2": role()}))
    noted = changes.since(Look(roles={"host-1": role(), "host-2": role("b", release="1.1")}))
    assert kinds(noted) == ["role_replaced", "release_changed"]
    assert kinds(
        changes.since(Look(roles={"host-1": role("c", release="1.1"), "host-2": role("b", release="1.1")}))
    ) == ["role_replaced"]


def test_machines_and_servers_come_and_go() -> None:
    changes = Changes(ShardMap(0, (), (), ()))

    def nodes(**drained: bool) -> dict[str, dict[str, object]]:
        return {key: {"node": f"10.0.0.{key}", "drained": each} for key, each in drained.items()}

    def kafka(state: str, restarts: int) -> dict[str, dict[str, object]]:
        return {"kafka": {"state": state, "restarts": restarts, "pid": 9}}

    assert changes.since(Look(nodes=nodes(a=False), servers=kafka("running", 0))) == []
    noted = changes.since(Look(nodes=nodes(a=True, b=False), servers=kafka("restarting", 0)))
    assert kinds(noted) == ["node_joined", "node_drained", "server_away"]
    noted = changes.since(Look(nodes=nodes(a=False), servers=kafka("running", 1)))
    assert kinds(noted) == ["node_left", "node_undrained", "server_back"]
    noted = changes.since(Look(nodes=nodes(a=False), servers=kafka("running", 2)))
    assert kinds(noted) == ["server_away", "server_back"]  # both between two looks


def test_moved_shards_are_told_by_where_they_went() -> None:
    changes = Changes(ShardMap(1, ("h1", "h1", "h2"), ("r",) * 3, ("p",) * 3))
    assert kinds(changes.since(Look(shard_map=ShardMap(2, ("h1", "h1", "h2"), ("r",) * 3, ("p",) * 3)))) == [
        "map_drawn"
    ]
    [moved] = changes.since(Look(shard_map=ShardMap(3, ("h2", "h3", "h2"), ("r",) * 3, ("p",) * 3)))
    assert (moved.kind, moved.subject, moved.more["to"]) == ("shards_moved", "host", {"h2": 1, "h3": 1})


def test_what_becomes_of_the_log_is_told() -> None:
    assert list(log_changes({"log_lost": 0, "accepted": 3})) == []
    noted = list(log_changes({"log_lost": 1, "log_renewed": 1, "log_dropped": 7}))
    assert kinds(noted) == ["log_lost", "log_renewed", "log_lost"]
    assert noted[-1].more == {"records": 7}
