"""What is said where the web client cannot be built; that it can be is what `make setup` shows."""

import runpy
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parents[2] / "api" / "web" / "build.py"


def build(target: Path, *env: str) -> "subprocess.CompletedProcess[str]":
    command = ["env", *env, sys.executable, str(BUILD), "--to", str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_node_and_without_its_wheel_one_sentence_says_what_follows(tmp_path: Path) -> None:
    done = build(tmp_path / "build", f"PATH={tmp_path}", "PIP_NO_INDEX=1")
    assert done.returncode == 1
    assert "there is no node on PATH" in done.stdout
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("The web client was not built, so servers show a page with their state")
    assert str(BUILD) in sentence
    assert not (tmp_path / "build").exists()


def test_what_is_built_of_these_sources_is_left_alone_and_what_is_of_others_is_not(tmp_path: Path) -> None:
    target, stamp = tmp_path / "build", tmp_path / ".build.sources"
    target.mkdir()
    (target / "integrity.json").write_text("{}")
    stamp.write_text(runpy.run_path(str(BUILD))["_digest"]())
    done = build(target, f"PATH={tmp_path}", "PIP_NO_INDEX=1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    stamp.write_text("of other sources")
    done = build(target, f"PATH={tmp_path}", "PIP_NO_INDEX=1")
    assert done.returncode == 1
    assert "the one built before stays" in done.stderr
    assert (target / "integrity.json").read_text() == "{}"
