"""What `make audit` makes of npm's packages: none is left out, and nothing unknown passes."""

from typing import Any

import pytest

from audit.__main__ import ROOT, judged_by_npm
from audit.licences import refused
from audit.npm_packages import shipped, shipped_by

LOCK: dict[str, Any] = {
    "packages": {
        "": {"name": "client"},
        "node_modules/@noble/curves": {"version": "2.4.0", "license": "MIT"},
        "node_modules/svelte/node_modules/magic-string": {"version": "0.30.21", "license": "AGPL-3.0"},
        "node_modules/vite": {"version": "8.0.0", "license": "MIT", "dev": True},
        "node_modules/silent": {"version": "1.0.0"},
    }
}


def test_what_is_shipped_is_named_with_version_and_licence() -> None:
    assert [(each["name"], each["purl"]) for each in shipped(LOCK)] == [
        ("@noble/curves", "pkg:npm/%40noble/curves@2.4.0"),
        ("silent", "pkg:npm/silent@1.0.0"),
        ("magic-string", "pkg:npm/magic-string@0.30.21"),
    ]


def test_a_licence_that_is_refused_or_not_known_is_told() -> None:
    told = refused(shipped(LOCK))
    assert [line.partition(":")[0] for line in told] == ["silent", "magic-string"]


def test_what_the_web_client_is_built_of_has_licences_that_are_not_refused() -> None:
    found = shipped_by(ROOT)
    assert {"svelte", "@noble/ciphers", "uplot"} <= {each["name"] for each in found}
    assert refused(found) == []


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"vulnerabilities": {}}, "ok"),
        ({"vulnerabilities": {"qr": {"severity": "high"}}}, "found"),
        ({"error": {"summary": "no network"}}, "not done"),
        ({}, "not done"),
    ],
)
def test_npm_that_cannot_be_asked_does_not_pass(told: dict[str, Any], state: str) -> None:
    assert judged_by_npm(told).state == state
