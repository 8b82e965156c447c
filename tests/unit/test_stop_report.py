"""What a stop leaves unfinished, and how that is told."""

from typing import Any

import pytest

from cluster.control.stop_report import bound_s, stop_limits, stop_report
from cluster.log.unfinished import Unfinished, unfinished_in
from storage.shard_map import ShardMap

MAP = ShardMap(7, ("host-1",) * 3, ("router-1", "router-2", "router-1"), ("pusher-1",) * 3, (1,) * 3, {}, {})
ONE = {"map": 7, "ends": {0: 10, 2: 5}, "stored": {0: 10, 2: 5}}
TWO = {"map": 7, "ends": {1: 20}, "stored": {1: 20}}


@pytest.mark.parametrize(
    ("readers", "writers", "left"),
    [
        ({"router-1": ONE, "router-2": TWO}, [], Unfinished({}, {})),
        (
            {"router-1": ONE, "router-2": TWO},
            [{"appended": {"mailbox": {0: 12, 1: 20}}}],
            Unfinished({0: 2}, {}),
        ),
        ({"router-1": ONE, "router-2": TWO | {"stored": {1: 4}}}, [{"users": 3}], Unfinished({1: 16}, {})),
        ({"router-1": ONE}, [], Unfinished({}, {1: "router-2"})),
        ({"router-1": ONE | {"map": 6}, "router-2": TWO}, [], Unfinished({}, {0: "router-1", 2: "router-1"})),
        ({"router-1": ONE | {"ends": {0: 10}}, "router-2": TWO}, [], Unfinished({}, {2: "router-1"})),
    ],
    ids=["nothing", "written", "read", "silent", "old map", "no end yet"],
)
def test_unfinished_records_are_counted_by_shard(
    readers: dict[str, dict[str, Any]], writers: list[dict[str, Any]], left: Unfinished
) -> None:
    assert unfinished_in("router", MAP, writers, readers) == left


def test_wake_ups_count_by_their_own_topic_and_readers() -> None:
    reader = {"map": 7, "ends": dict.fromkeys(range(3), 4), "stored": {0: 4, 1: 3, 2: 4}}
    writer = {"appended": {"mailbox": {0: 99}, "push": {2: 5}}}
    assert unfinished_in("pusher", MAP, [writer], {"pusher-1": reader}) == Unfinished({1: 1, 2: 1}, {})


def test_a_clean_stop_reports_nothing() -> None:
    assert stop_report("router", Unfinished({}, {}), kept=False) == []


@pytest.mark.parametrize(
    ("kept", "fate"), [(True, "are stored when Roost is started again"), (False, "are lost")]
)
def test_dead_letters_are_counted_and_located_for_the_operator(*, kept: bool, fate: str) -> None:
    [counted, unknown] = stop_report(
        "router", Unfinished({3: 2, 1: 40}, {0: "router-2", 5: "router-2"}), kept=kept
    )
    assert counted.startswith("42 accepted records are not stored (40 of shard 1, 2 of shard 3). ")
    assert unknown.startswith(
        "It is not known how many accepted records of the shards 0, 5 are not stored: router-2 "
    )
    assert fate in counted
    assert fate in unknown


def test_a_stop_waits_longer_where_the_log_keeps_nothing() -> None:
    assert stop_limits(kept=False) > stop_limits(kept=True)
    assert bound_s(kept=False) > stop_limits(kept=False).longest_s
