"""Each attack succeeds when its guard is taken out: its test fails then."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from docs.attacks import ROOT, attacks
from tests.security.guards import Guard, guarded

TESTS = {attack.name: attack.test for attack in attacks()}
GUARDED = guarded()

# A system has 15 s to start, and some guards hold off a score of attacks: all their tests are run together.
pytestmark = pytest.mark.timeout(300)


class Unguarded:
    """Runs the tests of all attacks that one guard holds off, without it; once for each guard."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self._seen: dict[str, dict[str, Any]] = {}

    def run(self, guard: Guard) -> dict[str, Any]:
        """Return what became of them."""
        tests = [TESTS[attack] for attack in guard.attacks]
        if tests[0] not in self._seen:
            self._seen[tests[0]] = self.ask(tests, guard.all_changes())
        return self._seen[tests[0]]

    def ask(self, tests: list[str], changes: list[tuple[str, str, str]]) -> dict[str, Any]:
        """Return what became of these tests with these changes."""
        print(json.dumps({"tests": tests, "changes": changes}), file=self._child.stdin, flush=True)
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
    outcome = unguarded.run(GUARDED[attack])
    assert TESTS[attack] in outcome.get("failed", ()), outcome["said"]
    assert TESTS[attack] not in outcome["broken"], outcome["said"]


def test_a_test_passes_while_nothing_is_taken_out(unguarded: Unguarded) -> None:
    tests = [TESTS[next(iter(GUARDED))]]
    outcome = unguarded.ask(tests, [])
    assert outcome["passed"] == tests, outcome["said"]
    assert not outcome["failed"] + outcome["broken"], outcome["said"]
