"""What `roost status` shows, and where."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from cluster.cli.status import View

HOST: dict[str, Any] = {
    "role": "host",
    "name": "host-1",
    "node": "10.0.0.7",
    "pid": 4711,
    "state": "running",
    "shards": 8,
    "users": 1234,
}
ROUTER: dict[str, Any] = {
    "role": "router",
    "name": "router-1",
    "node": None,
    "pid": None,
    "state": "restarting",
    "lag": 99,
    "detail": "router-1 does not answer (ActorDiedError).",
}
NODE: dict[str, Any] = {
    "node": "10.0.0.7",
    "hostname": "seven",
    "cpus": 4.0,
    "roles": 2,
    "drained": False,
}
STATUS: dict[str, Any] = {"roles": [HOST, ROUTER], "shards": 8, "map_version": 3, "nodes": [NODE]}
UP = "\x1b[1A"


def shown(*statuses: dict[str, Any], terminal: bool, **options: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100 if terminal else 80, color_system=None)
    with View(console, **options) as view:
        for status in statuses:
            view.show(status)
    return out.getvalue()


def test_a_row_has_all_about_a_role_on_one_line() -> None:
    head, host, router, whole = shown(STATUS, terminal=False).splitlines()
    assert head.split() == ["name", "node", "pid", "state", "shards", "users", "lag", "detail"]
    assert host.split() == ["host-1", "10.0.0.7", "4711", "running", "8", "1234"]
    assert router.split(maxsplit=5) == ["router-1", "-", "-", "restarting", "99", ROUTER["detail"]]
    assert whole.strip() == "8 shards, map 3"


def test_several_machines_are_shown_each() -> None:
    other = NODE | {"node": "10.0.0.8", "hostname": "eight", "drained": True}
    text = shown(STATUS | {"nodes": [NODE, other]}, terminal=False)
    assert "10.0.0.7 (seven): 2 roles, 4 processors\n" in text.replace(" " * 20, "").replace(" \n", "\n")
    assert "10.0.0.8 (eight): 2 roles, 4 processors, drained" in text


def test_on_a_terminal_it_is_drawn_at_the_same_place_again() -> None:
    text = shown(STATUS, STATUS | {"map_version": 4}, terminal=True, live=True)
    assert text.count("host-1") >= 2
    assert UP in text
    assert UP not in shown(STATUS, terminal=True)


def test_into_a_pipe_it_is_written_below() -> None:
    text = shown(STATUS, STATUS, terminal=False, live=True)
    assert text.count("host-1") == 2
    assert "\x1b" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_machines_get_one_object_a_line(terminal: bool) -> None:  # noqa: FBT001 -- a parameter of a test
    text = shown(STATUS, STATUS, terminal=terminal, live=True, as_json=True)
    assert [json.loads(line) for line in text.splitlines()] == [STATUS, STATUS]


def test_a_missing_coordinator_is_reported() -> None:
    away = {"roles": [], "shards": 0, "map_version": 0, "nodes": [], "detail": "no answer"}
    assert "is not responding: no answer" in shown(away, terminal=False)
