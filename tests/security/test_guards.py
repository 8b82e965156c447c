"""Each attack succeeds when its guard is taken out: its test fails then."""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from docs.attacks import ROOT, attacks
from tests.security.guards import guarded

TESTS = {attack.name: attack.test for attack in attacks()}
GUARDED = guarded()

TRIED = "test_without_its_guard_the_attack_succeeds"

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
    """Runs tests without the guards against their attacks; once for those that are tried in one go.

    Args:
        children: Each runs the tests of one guard at a time.
    """

    def __init__(self, children: list[subprocess.Popen[str]]) -> None:
        self._workers = ThreadPoolExecutor(len(children))
        self._idle = queue.SimpleQueue[subprocess.Popen[str]]()
        for child in children:
            self._idle.put(child)
        self._begun: dict[str, Future[dict[str, Any]]] = {}

    def begin(self, attack: str) -> Future[dict[str, Any]]:
        """Have the tests of an attack run, and those tried with it; returns what becomes of them."""
        if attack not in self._begun:
            tried = tried_with(attack)
            changes = dict.fromkeys(change for name in tried for change in GUARDED[name].all_changes())
            outcome = self._workers.submit(self.ask, [TESTS[name] for name in tried], list(changes))
            self._begun |= dict.fromkeys(tried, outcome)
        return self._begun[attack]

    def ask(self, tests: list[str], changes: list[tuple[str, str, str]]) -> dict[str, Any]:
        """Return what became of these tests with these changes."""
        child = self._idle.get()
        try:
            print(json.dumps({"tests": tests, "changes": changes}), file=child.stdin, flush=True)
            assert child.stdout is not None
            return dict(json.loads(child.stdout.readline()))
        finally:
            self._idle.put(child)

    def end(self) -> None:
        """Begin none of those that are left."""
        self._workers.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def unguarded(request: pytest.FixtureRequest) -> Iterator[Unguarded]:
    with ExitStack() as stack:
        children = [stack.enter_context(child()) for _ in range(min(os.cpu_count() or 1, 4))]
        tests = Unguarded(children)
        for item in request.session.items:
            if isinstance(item, pytest.Function) and item.originalname == TRIED:
                tests.begin(str(item.callspec.params["attack"]))
        yield tests
        tests.end()


@contextmanager
def child() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.security.unguarded"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()


@pytest.mark.parametrize("attack", GUARDED, ids=lambda name: name.replace(" ", "-"))
def test_without_its_guard_the_attack_succeeds(unguarded: Unguarded, attack: str) -> None:
    outcome = unguarded.begin(attack).result()
    assert TESTS[attack] in outcome.get("failed", ()), outcome["said"][-SHOWN:]
    assert TESTS[attack] not in outcome["broken"], outcome["said"][-SHOWN:]


def test_a_test_passes_while_nothing_is_taken_out(unguarded: Unguarded) -> None:
    tests = [TESTS[next(iter(GUARDED))]]
    outcome = unguarded.ask(tests, [])
    assert outcome["passed"] == tests, outcome["said"]
    assert not outcome["failed"] + outcome["broken"], outcome["said"]
