"""The import rules hold, and a broken one is seen."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("roost", "telemetry", "storage", "actors", "cluster", "api", "sim")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        if (ROOT / package).exists():
            shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_rules_hold(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("storage/keyring/ring.py", "import roost.crypto.sealed", "The server is blind"),
        ("api/app.py", "from roost.client import core", "The server is blind"),
        ("actors/user/view.py", "import cluster.control.shard_placement", "Layers go one way"),
        ("roost/wire/codecs.py", "import storage.records", "Layers go one way"),
        ("actors/user/actor.py", "import asyncio", "The kernel knows no server"),
        ("cluster/control/shard_placement.py", "import ray", "The kernel knows no server"),
        ("api/stream/login.py", "import api.stream.session", "Rooms of a stream"),
        ("cluster/settings/group.py", "import cluster.settings.roles", "Rooms of the settings"),
        ("sim/checker/facts.py", "import sim.run.conductor", "Wings of sim"),
        ("storage/ports/log.py", "import storage.kafka_log.reader", "Rooms of storage"),
    ],
)
def test_a_broken_rule_is_seen(copy: Path, file: str, line: str, broken: str) -> None:
    with (copy / file).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1
    assert f"{broken}" in result.stdout
    assert "BROKEN" in result.stdout


def test_no_other_distribution_has_a_package_of_our_names() -> None:
    found = packages_distributions()
    assert {name: set(found.get(name, [])) - {"roost"} for name in PACKAGES} == {n: set() for n in PACKAGES}


def test_ray_is_known_to_three_files() -> None:
    knowing = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*(import|from) ray\b|ray\.remote", path.read_text(), re.MULTILINE)
    }
    assert knowing == {"actors/ray_actor.py", "actors/ray_node.py", "actors/worker.py"}
