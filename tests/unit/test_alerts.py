"""Alert rules and dashboard: well formed, and every alarm explained."""

import itertools
import re
from typing import Any

import pytest
import yaml

from cluster.ops.alarms import RULES
from cluster.settings import Settings
from tests.deployed import (
    ALERTS,
    GIVEN_BY_PROMETHEUS,
    PROMETHEUS,
    RUNBOOK,
    alerts,
    expressions,
    panels,
    selectors,
)
from tests.unit.test_docs import anchors

SEVERITIES = {"critical", "warning", "info"}
DURATION = re.compile(r"\d+[smhd]")

Rule = dict[str, Any]
by_name = pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])


@by_name
def test_an_alert_says_what_it_is_and_links_to_its_runbook(rule: Rule) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"].keys() == {"summary", "runbook_url"}
    assert DURATION.fullmatch(rule.get("for", "1m"))
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    assert RUNBOOK.match(page)
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(RUNBOOK.read_text())


@by_name
def test_a_summary_uses_labels_that_the_expression_leaves(rule: Rule) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    kept = set(re.findall(r"by \(([^)]*)\)", rule["expr"])[:1])
    named = {label.strip() for group in kept for label in group.split(",")} or {"instance", "role", "name"}
    assert used <= named


def test_every_alarm_in_the_runbook_is_one() -> None:
    headings = re.findall(r"^#+ (Roost\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    of_the_coordinator = {rule.name for rule in RULES}  # `tests.unit.test_ops_alarms` has the rest of them
    assert sorted(headings) == sorted({rule["alert"] for rule in alerts()} | of_the_coordinator)


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_is_promql_over_our_metrics(expression: str) -> None:
    metrics = {each.metric for each in selectors(expression)}
    assert metrics
    assert {each for each in metrics if not each.startswith(("roost_", "process_"))} <= GIVEN_BY_PROMETHEUS


def test_prometheus_scrapes_where_a_node_shows_its_metrics() -> None:
    telemetry = Settings().telemetry
    config = yaml.safe_load(PROMETHEUS.read_text())
    [job] = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{telemetry.metrics_host}:{telemetry.metrics_port}"]}]
    assert [PROMETHEUS.with_name(name) for name in config["rule_files"]] == [ALERTS]


def test_panels_are_told_apart_and_lie_side_by_side() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels()], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_every_panel_asks_the_data_source_that_was_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    asking = [panel for panel in panels() if panel["type"] != "row"]
    assert all(panel["datasource"] == chosen for panel in asking)
    assert all(target["datasource"] == chosen for panel in asking for target in panel["targets"])
    assert all(panel["targets"] for panel in asking)
