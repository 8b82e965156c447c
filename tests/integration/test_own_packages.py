"""A program of ours imports ours, whatever else is called the same; who uses the client library, theirs."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import api
from roost import own_packages

SHOWS = "import api, cluster; print(api.__file__, cluster.__file__)"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    for name in ("api", "cluster"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    return tmp_path


def printed(code: str, elsewhere: Path) -> str:
    command = [sys.executable, "-c", code]
    env = psutil.Process().environ() | {"PYTHONPATH": str(elsewhere)}
    return subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "first",
    [
        "from roost.own_packages import prefer_own; prefer_own()",
        "import runpy, sys; sys.path.pop(0); import actors.ray_node",
        "from roost.cli import command_line; command_line.main(['down', '--data', '/proc/none'])",
    ],
    ids=["by hand", "a role's process", "a verb"],
)
def test_a_program_of_ours_gets_ours(elsewhere: Path, first: str) -> None:
    assert str(elsewhere) not in printed(f"{first}; {SHOWS}", elsewhere)


def test_who_uses_the_client_library_gets_theirs(elsewhere: Path) -> None:
    assert printed(f"import roost.client; {SHOWS}", elsewhere).count(str(elsewhere)) == 2


def test_a_module_of_ours_as_a_program(elsewhere: Path) -> None:
    command = [*own_packages.program("roost"), "config", "--markdown"]
    env = psutil.Process().environ() | {"PYTHONPATH": str(elsewhere)}
    done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, check=True)
    assert "ROOST_SERVER_NAME" in done.stdout
    assert Path(str(api.__file__)).parent.parent == Path(own_packages.__file__).parent.parent
