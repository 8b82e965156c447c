"""What Roost is made of: each version locked with its hashes, and licences that are refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from audit.__main__ import judged
from audit.licences import refused

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([\w.\-]+)==([^\s;]+)", re.MULTILINE)


def pins(path: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / path).read_text()))


def test_the_lock_has_the_versions_of_the_constraints_each_with_a_hash() -> None:
    locked = (ROOT / "requirements.lock").read_text()
    assert pins("requirements.lock") == pins("constraints.txt"), "run: make hashes"
    for name in pins("requirements.lock"):
        (part,) = re.findall(rf"^{re.escape(name)}==.*\n((?:    --hash=.*\n)*)", locked, re.MULTILINE)
        assert "sha256:" in part, name


def test_the_tools_of_the_audit_are_locked_with_hashes() -> None:
    assert {"pip-audit", "cyclonedx-bom", "bc-detect-secrets"} <= pins("audit/tools.lock").keys()
    assert (ROOT / "audit" / "tools.lock").read_text().count("--hash=sha256:") > len(pins("audit/tools.lock"))


def component(*licences: str, name: str = "x") -> dict[str, Any]:
    return {"name": name, "licenses": [{"license": {"name": each}} for each in licences]}


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-2.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "GNU General Public License v3 (GPLv3)",
        "GNU Affero General Public License v3", "SSPL-1.0", "BUSL-1.1", "CC-BY-NC-4.0", "Elastic-2.0",
        "MIT AND GPL-2.0-only",
    ],
)  # fmt: skip
def test_licences_that_are_refused(licence: str) -> None:
    assert refused([component(licence)]) == [f"x: {licence}"]


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "Apache-2.0 OR BSD-3-Clause",
        "MPL-2.0",
        "LGPL-3.0-or-later",
        "GNU Lesser General Public License v3",
        "PSF-2.0",
    ],
)
def test_licences_that_are_taken(licence: str) -> None:
    assert refused([component(licence)]) == []


def test_a_licence_that_is_not_known_is_refused_and_a_part_of_its_own_process_may_have_its_own() -> None:
    (line,) = refused([component(), component(name="ray"), component("GPL-2.0-only", name="SecantusDB")])
    assert line.startswith("x: its licence is not known")


KNOWN = {"name": "a", "version": "1", "vulns": []}
HOLE = {"name": "b", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
UNKNOWN = {"name": "c", "version": "1", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("asked", "state", "said"),
    [
        ([KNOWN], "ok", "none with a known one"),
        ([KNOWN, HOLE], "found", "CVE-1, mended in 2"),
        ([KNOWN, UNKNOWN], "not done", "1 of 2 packages"),
        ([HOLE, UNKNOWN], "not done", "CVE-1"),
        ([], "not done", "0 of 0"),
    ],
)
def test_what_is_not_known_to_the_database_does_not_pass(
    asked: list[dict[str, Any]], state: str, said: str
) -> None:
    outcome = judged(asked)
    assert outcome.state == state
    assert said in " ".join(outcome.lines)
