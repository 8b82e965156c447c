"""Set-up takes no other file for a dependency than the one that was locked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.attacks import ROOT

NAME = "iniconfig"


def install(requirements: Path, into: Path) -> "subprocess.CompletedProcess[str]":
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--require-hashes", "--no-deps", "--target", into, "-r", requirements]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.attack("put another file in the place of a dependency", "the lock's hashes, which set-up checks")
def test_another_file_than_the_locked_one_is_not_installed(tmp_path: Path) -> None:
    (locked,) = re.findall(
        rf"^{NAME}==.*\n(?:    --hash=.*\n?)+", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text(locked.rstrip().rstrip("\\"))
    bad.write_text(re.sub(r"sha256:[0-9a-f]{4}", "sha256:0000", good.read_text()))
    refused = install(bad, tmp_path / "bad")
    assert refused.returncode != 0
    assert "Hash mismatch" in refused.stderr
    assert not (tmp_path / "bad" / NAME).exists()
    assert install(good, tmp_path / "good").returncode == 0
    assert (tmp_path / "good" / NAME).exists()


@pytest.mark.attack(
    "install a dependency that no one has locked", "--require-hashes takes nothing without one"
)
def test_a_requirement_without_a_hash_is_not_installed(tmp_path: Path) -> None:
    bare = tmp_path / "bare.txt"
    bare.write_text(f"{NAME}\n")
    refused = install(bare, tmp_path / "bare")
    assert refused.returncode != 0
    assert "hash" in refused.stderr


def test_set_up_checks_hashes() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("$(STAMP): ")[2].partition("\n\n")[0]
    assert "--require-hashes -r requirements.lock" in recipe
