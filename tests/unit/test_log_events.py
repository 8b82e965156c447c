import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("roost", "telemetry", "storage", "actors", "cluster", "api", "sim")
LEVELS = {"debug", "info", "warning", "error", "exception"}


def events() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="log" | "_log"), attr=level),
                        args=[ast.Constant(value=str(event)), *_],
                    ) if level in LEVELS:
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", event
                    case ast.Call(func=ast.Name(id="insist"), args=[_, ast.Constant(value=str(event)), *_]):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", event


def test_log_events_are_words_that_can_be_searched_for() -> None:
    found = list(events())
    assert len(found) > 100
    assert [(where, event) for where, event in found if not re.fullmatch(r"[a-z][a-z0-9_]*", event)] == []
