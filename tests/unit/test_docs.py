"""The texts against the code: generated files, codes, links, and the tests that texts name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import files
from roost.codes import CODES

ROOT = Path(__file__).parents[2]
TEXTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = [
    path
    for part in ("roost", "telemetry", "storage", "actors", "cluster", "api")
    for path in (ROOT / part).rglob("*.py")
]

LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(#[^)\s]*)?\)|src=\"(?!https?://)([^\"]+)\"()")
NAMED_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
NAMED_PATH = re.compile(r"`((?:roost|storage|actors|cluster|api|tests|docs|examples|benchmarks)/[\w./-]+)`")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


MADE = files()


@pytest.mark.parametrize("path", MADE, ids=name_of)
def test_generated_files_are_fresh(path: Path) -> None:
    assert path.read_text() == MADE[path], "run: make docs"


def anchors(text: str) -> set[str]:
    """Return the anchors of a text's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("text", TEXTS, ids=name_of)
def test_links_lead_somewhere(text: Path) -> None:
    broken = []
    for target, anchor, source, _ in LINK.findall(text.read_text()):
        path = (text.parent / (target or source)).resolve() if target or source else text
        if not path.exists() or (anchor and anchor[1:] not in anchors(path.read_text())):
            broken.append(target or source or anchor)
    assert not broken


@pytest.mark.parametrize("text", TEXTS, ids=name_of)
def test_named_files_exist(text: Path) -> None:
    assert [each for each in NAMED_PATH.findall(text.read_text()) if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("text", TEXTS, ids=name_of)
def test_named_tests_exist(text: Path) -> None:
    missing = []
    for file, test in NAMED_TEST.findall(text.read_text()):
        path = ROOT / file
        if not path.exists() or f"def {test}(" not in path.read_text():
            missing.append(f"{file}::{test}")
    assert not missing


@pytest.mark.parametrize("text", TEXTS, ids=name_of)
def test_lines_wrap_at_120(text: Path) -> None:
    long, code = [], False
    for line in text.read_text().splitlines():
        code ^= line.lstrip().startswith("```")
        if len(line) > 120 and not code and not line.startswith(("|", "<")):
            long.append(line)
    assert not long


def test_the_glossary_is_short() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    words = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    words = [word for word in words if word != "word" and not word.startswith("---")]
    assert len(set(words)) == len(words) <= 40


def test_every_text_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        text = waiting.pop()
        if text in reached or text.suffix != ".md":
            continue
        reached.add(text)
        waiting += [
            (text.parent / target).resolve() for target, *_ in LINK.findall(text.read_text()) if target
        ]
    assert set(TEXTS) - reached == set()


def words_used(path: Path) -> Iterator[str]:
    """Yield the code words that a file hands on: arguments of calls and values of tables."""
    for node in ast.walk(ast.parse(path.read_text())):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call):
            # What OpenAPI says about a route is no place where the word is raised.
            parts = [] if getattr(node.func, "id", "") == "responses" else node.args
        elif isinstance(node, ast.Dict):
            parts = node.values
        for part in parts:
            for inner in [part.body, part.orelse] if isinstance(part, ast.IfExp) else [part]:
                if isinstance(inner, ast.Constant) and inner.value in CODES:
                    yield str(inner.value)


def test_every_code_is_raised_somewhere() -> None:
    used = {word for path in SOURCES if path.name != "codes.py" for word in words_used(path)}
    assert set(CODES) - used == set()


def test_every_code_is_documented() -> None:
    text = (ROOT / "docs" / "codes.md").read_text()
    assert [word for word in CODES if f"| `{word}` |" not in text] == []
