"""The reading of attack marks from the text of tests."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from docs.attacks import ROOT, Attack, attacks
from tests.security.guards import Guard, guarded, guards, tables, unremovable

HEAD = "import pytest\n\n"


def read(tmp_path: Path, text: str) -> list[Attack]:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(HEAD + text)
    return attacks(tmp_path / "tests")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ('@pytest.mark.attack("a", "b")\ndef test_x(): ...', "b"),
        ('@pytest.mark.attack("a")\ndef test_x():\n    """It is so.\n\n    More.\n    """', "It is so"),
        ('@pytest.mark.attack("a")\nasync def test_it_is_so(): ...', "it is so"),
    ],
)
def test_what_refuses_it(tmp_path: Path, text: str, refusal: str) -> None:
    assert [(each.name, each.refusal) for each in read(tmp_path, text)] == [("a", refusal)]


@pytest.mark.parametrize(
    "rows",
    [
        '@pytest.mark.parametrize("x", ["one", "two"])',
        '@pytest.mark.parametrize("x", [1, 2], ids=["one", "two"])',
        'ROWS = {"one": 1, "two": 2}\n@pytest.mark.parametrize("x", ROWS.values(), ids=ROWS)',
    ],
)
def test_each_row_is_an_attack(tmp_path: Path, rows: str) -> None:
    table, _, decorator = rows.rpartition("\n")
    found = read(
        tmp_path, f'{table}\n@pytest.mark.attack("as {{row}}", "r")\n{decorator}\ndef test_x(x): ...'
    )
    assert [(each.name, each.test) for each in found] == [
        ("as one", "tests/test_it.py::test_x[one]"),
        ("as two", "tests/test_it.py::test_x[two]"),
    ]


def test_a_row_may_have_a_mark_of_its_own(tmp_path: Path) -> None:
    row = 'pytest.param(1, id="one", marks=pytest.mark.attack("a", "r"))'
    (found,) = read(tmp_path, f'@pytest.mark.parametrize("x", [{row}, 2])\ndef test_x(x): ...')
    assert found == Attack("a", "r", "tests/test_it.py::test_x[one]")


@pytest.mark.parametrize(
    "text",
    [
        '@pytest.mark.attack("a")\ndef test_x(): ...\n@pytest.mark.attack("a")\ndef test_y(): ...',
        "@pytest.mark.attack()\ndef test_x(): ...",
        '@pytest.mark.attack(name="a")\ndef test_x(): ...',
        '@pytest.mark.attack("a {row}")\n@pytest.mark.parametrize("x", [1, 2])\ndef test_x(x): ...',
    ],
)
def test_a_mark_that_says_nothing_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="test_x"):
        read(tmp_path, text)


@pytest.fixture(scope="module")
def tried() -> list[Attack]:
    return attacks()


def test_every_guard_is_one_against_an_attack_of_the_table(tried: list[Attack]) -> None:
    assert (guarded() | unremovable()).keys() - {attack.name for attack in tried} == set()


def test_an_attack_has_one_guard_or_one_reason() -> None:
    rows = [row.attacks for table in tables() for row in table.guards]
    rows += [row.attacks for table in tables() for row in table.unremovable]
    named = Counter(itertools.chain(*rows))
    assert [attack for attack, times in named.items() if times > 1] == []


def test_every_attack_has_a_guard_or_a_reason(tried: list[Attack]) -> None:
    assert {attack.name for attack in tried} - guarded().keys() - unremovable().keys() == set()


@pytest.mark.parametrize("guard", guards(), ids=lambda guard: guard.attacks[0])
def test_a_guard_stands_where_the_table_says(guard: Guard) -> None:
    found = [(file, text, (ROOT / file).read_text().count(text)) for file, text, _ in guard.all_changes()]
    assert [each for each in found if each[-1] != 1] == []
