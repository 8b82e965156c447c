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


def test_the_events_that_operators_are_told_of_are_logged() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    _, _, table = text.partition("| event | what to do |\n|---|---|\n")
    told = {
        event
        for row in table.partition("\n\n")[0].splitlines()
        for event in re.findall(r"`([a-z_]+)`", row.split("|")[1])
        if event != "reason"
    }
    source = "\n".join(path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    assert len(told) > 15
    assert [event for event in sorted(told) if f'"{event}"' not in source] == []
