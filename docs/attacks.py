"""The table of attacks, read from the tests' ``attack`` marks without importing a test.

``@pytest.mark.attack(name)`` or ``@pytest.mark.attack(name, refusal)`` stands on a test, or in the ``marks``
of a ``pytest.param``. What refuses the attack is the second argument, else the first line of the test's
docstring, else the test's name in words. A name with ``{row}`` is one attack for each row of the test, named
by the ids of the one ``parametrize`` whose ids can be read from the text: literals, or the keys of a dict
literal of the module.
"""

import ast
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

_ROW = "{row}"


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack that a test shows refused.

    Attributes:
        name: What the attacker tries; unique.
        refusal: What refuses it.
        test: The test as pytest names it, with the row in brackets if the attack is one row of it.
    """

    name: str
    refusal: str
    test: str


def attacks(tests: Path = ROOT / "tests") -> list[Attack]:
    """Return every marked attack, ordered by name.

    Raises:
        ValueError: If a mark cannot be read, or two attacks have one name.
    """
    found = [attack for path in sorted(tests.rglob("test_*.py")) for attack in attacks_of(path, tests.parent)]
    found.sort(key=lambda attack: (attack.name.lower(), attack.test))
    for one, other in itertools.pairwise(found):
        if one.name == other.name:
            raise ValueError(f"two attacks are named {one.name!r}: {one.test} and {other.test}")
    return found


def attacks_of(path: Path, root: Path) -> Iterator[Attack]:
    """Yield the attacks that one file of tests marks."""
    text = path.read_text(encoding="utf-8")
    if "mark.attack" not in text:
        return
    tree = ast.parse(text)
    tables = _tables(tree)
    for prefix, test in _tests(tree):
        where = f"{path.relative_to(root)}::{prefix}{test.name}"
        try:
            for name, refusal, row in _marks(test, tables):
                yield Attack(name, refusal or _said(test), where + (f"[{row}]" if row else ""))
        except ValueError as exc:
            raise ValueError(f"{where}: {exc}") from exc


def page(guarded: Collection[str], unremovable: Mapping[str, str]) -> str:
    """Return the table as Markdown.

    Args:
        guarded: Names of the attacks that are seen to succeed when their guard is removed.
        unremovable: Why the guard is not removed, by the name of the attack.
    """
    rows = attacks()
    removed = dict.fromkeys(guarded, "•") | dict(unremovable)
    lines = [
        "# Attacks",
        "",
        f"{len(rows)} attacks, each with what refuses it and the test that shows it: the tests marked",
        f'`@pytest.mark.attack("...")`. The {len(guarded)} with a dot in the third column are also seen to',
        "*succeed* when their guard is taken out: `make security-test` removes each guard in",
        "`tests/security/guards/` and requires the test to fail. Where there is no dot, the column says why:",
        "most often, what holds the attack off is no text of a module of ours.",
        "",
        "What is known and not prevented is in [protocol.md](protocol.md#attacks) and",
        "[security.md](security.md#what-is-not-protected).",
        "",
        "| attack | what refuses it | guard removed | test |",
        "|---|---|---|---|",
        *(_row(row, removed.get(row.name, "")) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _row(attack: Attack, removed: str) -> str:
    cells = (attack.name, attack.refusal, removed, f"`{attack.test}`")
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_Test = ast.FunctionDef | ast.AsyncFunctionDef


def _tests(tree: ast.Module) -> Iterator[tuple[str, _Test]]:
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for each in inside:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_"):
                yield prefix, each


def _marks(test: _Test, tables: Mapping[str, ast.expr]) -> Iterator[tuple[str, str, str]]:
    """Yield name, refusal and row of each mark of a test."""
    calls = [each for each in test.decorator_list if isinstance(each, ast.Call)]
    tables_of_rows = [call for call in calls if _is_mark(call, "parametrize")]
    for call in calls:
        if _is_mark(call, "attack"):
            yield from _of_rows(*_arguments(call), tables_of_rows, tables)
    for param in (node for call in tables_of_rows for node in _params(call, tables)):
        named = {each.arg: each.value for each in param.keywords}
        for mark in ast.walk(named["marks"]) if "marks" in named else ():
            if isinstance(mark, ast.Call) and _is_mark(mark, "attack"):
                yield (*_arguments(mark), str(ast.literal_eval(named["id"])) if "id" in named else "")


def _of_rows(
    name: str, refusal: str, calls: Sequence[ast.Call], tables: Mapping[str, ast.expr]
) -> Iterator[tuple[str, str, str]]:
    if _ROW not in name:
        yield name, refusal, ""
        return
    rows = next((ids for call in calls if (ids := _ids(call, tables))), None)
    if rows is None:
        raise ValueError(f"no ids of rows can be read for {name!r}")
    alone = len(calls) == 1
    for row in rows:
        yield name.replace(_ROW, row), refusal.replace(_ROW, row), row if alone else ""


def _arguments(call: ast.Call) -> tuple[str, str]:
    said = [ast.literal_eval(each) for each in call.args]
    if not 1 <= len(said) <= 2 or call.keywords or not all(isinstance(each, str) and each for each in said):  # noqa: PLR2004
        raise ValueError("an attack mark takes a name and, if need be, what refuses it")
    return said[0], said[1] if said[1:] else ""


def _ids(call: ast.Call, tables: Mapping[str, ast.expr]) -> list[str]:
    """Return the ids of the rows of a ``parametrize``; none if they cannot be read from the text."""
    given = next((each.value for each in call.keywords if each.arg == "ids"), None)
    source = tables.get(given.id) if isinstance(given, ast.Name) else given
    if source is None and given is None and len(call.args) > 1:
        source = call.args[1]
    match source:
        case ast.Dict(keys=keys):
            items = [key for key in keys if key is not None]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            pass
        case _:
            return []
    words = [each.value for each in items if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return words if len(words) == len(items) else []


def _params(call: ast.Call, tables: Mapping[str, ast.expr]) -> Iterator[ast.Call]:
    """Yield the ``pytest.param`` calls of a ``parametrize``, in place or in the table that it names."""
    for argument in call.args[1:2]:
        source = tables.get(argument.id) if isinstance(argument, ast.Name) else argument
        for node in ast.walk(source) if source else ():
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "param"
            ):
                yield node


def _tables(tree: ast.Module) -> dict[str, ast.expr]:
    """Return what the module binds at its top level, by name."""
    bound: dict[str, ast.expr] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                bound[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                bound[name] = value
    return bound


def _is_mark(call: ast.Call, name: str) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == f"pytest.mark.{name}"


def _said(test: _Test) -> str:
    first = (ast.get_docstring(test) or "").partition("\n")[0].rstrip(".")
    return first or test.name.removeprefix("test_").replace("_", " ")
