"""What is in ``deploy/``, as tests look at it: alert rules, dashboard, and the metrics that both name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import yaml

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "roost.json"
RUNBOOK = ROOT / "docs" / "operations.md"

GIVEN_BY_PROMETHEUS = {"up"}
ADDED_BY_PROMETHEUS = {"instance", "job"}

_VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}


class Selector(NamedTuple):
    """A metric as an expression names it, with the label values that it must have."""

    metric: str
    equal: frozenset[tuple[str, str]]


def alerts() -> list[dict[str, Any]]:
    """Return all alert rules."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    """Return every expression of both."""
    drawn = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return [*(rule["expr"] for rule in alerts()), *drawn]


def selectors(expression: str) -> set[Selector]:
    """Return the metrics of an expression; raises ValueError if it is no PromQL."""
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    return set(_selectors(promql_parser.parse(expression)))


def _selectors(node: Any) -> Iterator[Selector]:
    if isinstance(node, promql_parser.MatrixSelector):
        yield from _selectors(node.vector_selector)
    elif isinstance(node, promql_parser.VectorSelector):
        matchers = [m for m in node.matchers.matchers if m.name not in ADDED_BY_PROMETHEUS]
        equal = frozenset((m.name, m.value) for m in matchers if m.op == promql_parser.MatchOp.Equal)
        yield Selector(node.name, equal)
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _selectors(node.lhs)
        yield from _selectors(node.rhs)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from _selectors(argument)
    elif isinstance(node, promql_parser.AggregateExpr | promql_parser.ParenExpr):
        yield from _selectors(node.expr)
    elif not isinstance(node, promql_parser.NumberLiteral):
        raise TypeError(f"What is {type(node).__name__}?")
