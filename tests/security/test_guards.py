"""Each attack succeeds when its guard is taken out: its test fails then."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from docs.attacks import ROOT, attacks
from tests.security.guards import GUARDS, Guard

TESTS = {attack.name: attack.test for attack in attacks()}


@pytest.fixture(scope="module")
def ask() -> Iterator[Any]:
    command = [sys.executable, "-m", "tests.security.unguarded"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def answer(asked: dict[str, str]) -> dict[str, Any]:
            print(json.dumps(asked), file=child.stdin, flush=True)
            return dict(json.loads(child.stdout.readline()))

        yield answer
        child.stdin.close()


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.attack.replace(" ", "-"))
def test_without_its_guard_the_attack_succeeds(ask: Any, guard: Guard) -> None:
    outcome = ask(asdict(guard) | {"test": TESTS[guard.attack]})
    assert outcome.get("failed"), outcome["said"]
    assert not outcome["broken"], outcome["said"]


def test_a_test_passes_while_nothing_is_taken_out(ask: Any) -> None:
    outcome = ask(asdict(GUARDS[0]) | {"text": "", "test": TESTS[GUARDS[0].attack]})
    assert outcome["passed"], outcome["said"]
    assert not outcome["failed"] + outcome["broken"], outcome["said"]
