"""Alarms that the coordinator judges: when they are raised and cleared, and that each is explained."""

from typing import Any

import pytest

from cluster.ops.alarms import RULES, Alarms, Recent, Rule, Situation
from cluster.ops.wire import NodeState
from tests.deployed import RUNBOOK, alerts
from tests.unit.test_docs import anchors

RUNS = [{"role": "host", "name": "host-1", "state": "running", "release": "1.0"}]


def situation(at_s: float, **what: Any) -> Situation:
    return Situation(
        now_ms=int(at_s * 1000), values=what.pop("values", {}), rows=what.pop("rows", RUNS), **what
    )


def node(**figures: Any) -> NodeState:
    return NodeState("10.0.0.1", "one", drained=False, alive=True, **figures)


def away(name: str, role: str = "host") -> list[dict[str, Any]]:
    return [{"role": role, "name": name, "state": "silent"}]


HOLD: dict[str, dict[str, Any]] = {
    "RoostRoleAway": {"rows": away("host-2")},
    "RoostServerAway": {"rows": away("mongo", "mongo")},
    "RoostRoleRestarts": {"started": ["host-1"] * 3},
    "RoostFilesShort": {"own": {"gateway-1": {"fds": 900, "fds_most": 1000}}},
    "RoostVersionsDiffer": {"rows": [*RUNS, RUNS[0] | {"release": "1.1"}]},
    "RoostLogRefuses": {"counted": {"append_failures": 2}},
    "RoostMailboxLag": {"values": {"lag_records": 1001, "stored_per_s": 5}},
    "RoostNothingStored": {"values": {"lag_records": 1, "stored_per_s": 0}},
    "RoostAcceptSlow": {"values": {"accept_p99_ms": 501}},
    "RoostDeliverySlow": {"values": {"deliver_p99_ms": 1001}},
    "RoostStoreSlow": {"values": {"store_commit_p95_ms": 1001}},
    "RoostWritesWaiting": {"own": {"host-1": {"queue": 20_001}}},
    "RoostLogLost": {"counted": {"log_lost": 1}},
    "RoostLogDropped": {"counted": {"log_dropped": 1}},
    "RoostPoisonRecords": {"counted": {"poison": 1}},
    "RoostChangesLost": {"counted": {"changes_lost": 1}},
    "RoostCacheAway": {"counted": {"without_cache": 1}},
    "RoostRedeliveryLoops": {"counted": {"redelivery_loops": 1}},
    "RoostEntriesMissed": {"counted": {"missed": 1}},
    "RoostStreamsDisplaced": {"values": {"displaced_per_s": 3, "streams_opened_per_s": 10}},
    "RoostStreamsSlow": {"values": {"too_slow_per_s": 0.2}},
    "RoostSendsRefused": {"values": {"refused_per_s": 2}},
    "RoostLimiterHits": {"values": {"limited_per_s": 2}},
    "RoostPushLag": {"values": {"push_lag_records": 1001}},
    "RoostWakeupsDead": {"counted": {"push.dead": 1}},
    "RoostWakeupsSlow": {"values": {"wake_p95_ms": 30_001}},
    "RoostDiskLow": {"nodes": [node(disk_free_bytes=9, disk_total_bytes=100)]},
    "RoostMemoryLow": {"nodes": [node(memory_bytes=93, memory_total_bytes=100)]},
    "RoostCertificateEnds": {"days_left": {"that of clients": 13}},
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_condition_is_raised_when_it_has_held_and_only_it(rule: Rule) -> None:
    alarms = Alarms()
    assert alarms.judge(situation(0)) == []
    alarms.judge(situation(2, **HOLD[rule.name]))
    held = alarms.judge(situation(2 + rule.for_s, **HOLD[rule.name]))
    raised = [alarm.name for alarm in alarms.raised]
    assert raised == [rule.name]
    assert bool(held) == (rule.for_s > 0)
    [alarm] = alarms.raised
    assert alarm.text.endswith(".")
    assert alarm.since_ms == 2000


def test_an_alarm_is_cleared_as_soon_as_it_no_longer_holds() -> None:
    alarms = Alarms()
    for at_s in (0, 10):
        changes = alarms.judge(situation(at_s, rows=away("host-2")))
    assert [(change.alarm.name, change.raised) for change in changes] == [("RoostRoleAway", True)]
    assert alarms.judge(situation(12, rows=away("host-2"))) == []
    assert [(each.alarm.name, each.raised) for each in alarms.judge(situation(14))] == [
        ("RoostRoleAway", False)
    ]
    assert alarms.raised == []


def test_what_holds_for_a_moment_raises_nothing() -> None:
    alarms = Alarms()
    for at_s in range(0, 60, 2):
        rows = away("host-2") if at_s % 8 else RUNS
        assert alarms.judge(situation(at_s, rows=rows)) == []


def test_a_count_is_forgotten_after_its_time() -> None:
    alarms = Alarms()
    alarms.judge(situation(0, counted={"poison": 2}))
    assert [alarm.text for alarm in alarms.raised] == ["2 records became dead letters."]
    alarms.judge(situation(3599))
    assert alarms.raised
    alarms.judge(situation(3602))
    assert alarms.raised == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_leads_to_its_section_of_the_runbook(rule: Rule) -> None:
    assert rule.name.lower() in anchors(RUNBOOK.read_text())


def test_severities_are_those_of_the_alert_rules() -> None:
    levels = {"critical": "problem", "warning": "warning", "info": "info"}
    severities = {alert["alert"]: levels[alert["labels"]["severity"]] for alert in alerts()}
    assert {rule.name: rule.level for rule in RULES if rule.name in severities}.items() <= severities.items()


def test_who_is_still_starting_is_not_said_to_be_silent() -> None:
    rows = [*away("host-2"), {"role": "gateway", "name": "gateway-1", "state": "starting"}]
    alarms = Alarms()
    alarms.judge(situation(0, rows=rows))
    [change] = alarms.judge(situation(10, rows=rows))
    assert change.alarm.text == "host-2 does not respond. gateway-1 has not started yet."


def test_a_store_that_does_not_answer_is_an_alarm() -> None:
    alarms = Alarms()
    for at_s in (0, 4):
        alarms.judge(situation(at_s, store_away_s=3.0 + at_s))
    assert [alarm.text for alarm in alarms.raised] == ["MongoDB has not answered for 7 s."]


def test_what_was_counted_is_kept_for_an_hour() -> None:
    recent = Recent()
    for second in range(0, 7200, 10):
        recent.add(second * 1000, {"poison": 1})
    assert recent.rise(7_190_000, "poison", 1e9) == 361
