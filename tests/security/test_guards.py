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

SHOWN = 20_000
"""Characters of what the tests said."""

# A system is started first, and all tests of some guards are run.
pytestmark = pytest.mark.timeout(600)


def tried_with(attack: str) -> list[str]:
    """Return the attacks that are tried in one go with this one: those that its guard holds off, too.

    On a running system, which takes ten seconds to start, those of all guards that can be missing at once.
    """
    guard, on_system = GUARDED[attack], TESTS[attack].startswith("tests/field/")
    guards = [guard]
    if on_system and not guard.alone:
        guards = [each for each in GUARDED.values() if not each.alone]
    named = dict.fromkeys(name for each in guards for name in each.attacks)
    return [name for name in named if TESTS[name].startswith("tests/field/") == on_system]


class Unguarded:
    """Runs tests without the guards against their attacks; once for those that are tried in one go."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self._seen: dict[str, dict[str, Any]] = {}

    def run(self, attack: str) -> dict[str, Any]:
        """Return what became of the tests of an attack and of those that are tried with it."""
        if attack not in self._seen:
            tried = tried_with(attack)
            changes = dict.fromkeys(change for name in tried for change in GUARDED[name].all_changes())
            outcome = self.ask([TESTS[name] for name in tried], list(changes))
            self._seen |= dict.fromkeys(tried, outcome)
        return self._seen[attack]

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
    outcome = unguarded.run(attack)
    assert TESTS[attack] in outcome.get("failed", ()), outcome["said"][-SHOWN:]
    assert TESTS[attack] not in outcome["broken"], outcome["said"][-SHOWN:]


def test_a_test_passes_while_nothing_is_taken_out(unguarded: Unguarded) -> None:
    tests = [TESTS[next(iter(GUARDED))]]
    outcome = unguarded.ask(tests, [])
    assert outcome["passed"] == tests, outcome["said"]
    assert not outcome["failed"] + outcome["broken"], outcome["said"]
