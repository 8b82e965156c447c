"""Each attack succeeds when its guard is taken out: its test fails then."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from docs.attacks import ROOT, attacks
from tests.security.guards import guarded

TESTS = {attack.name: attack.test for attack in attacks()}
GUARDED = guarded()


class Unguarded:
    """Runs the test of an attack without its guard."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def run(self, attack: str, *, taken_out: bool = True) -> dict[str, Any]:
        """Return what became of it."""
        guard = GUARDED[attack]
        asked = {
            "test": TESTS[attack], "file": guard.file, "changes": guard.changes if taken_out else [],
        }  # fmt: skip
        print(json.dumps(asked), file=self._child.stdin, flush=True)
        assert self._child.stdout is not None
        return dict(json.loads(self._child.stdout.readline()))


@pytest.fixture(scope="module")
def unguarded() -> Iterator[Unguarded]:
    command = [sys.executable, "-m", "tests.security.unguarded"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as child:
        yield Unguarded(child)
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.parametrize("attack", GUARDED, ids=lambda name: name.replace(" ", "-"))
def test_without_its_guard_the_attack_succeeds(unguarded: Unguarded, attack: str) -> None:
    outcome = unguarded.run(attack)
    assert outcome.get("failed"), outcome["said"]
    assert not outcome["broken"], outcome["said"]


def test_a_test_passes_while_nothing_is_taken_out(unguarded: Unguarded) -> None:
    outcome = unguarded.run(next(iter(GUARDED)), taken_out=False)
    assert outcome["passed"], outcome["said"]
    assert not outcome["failed"] + outcome["broken"], outcome["said"]
