"""What is said where the embedded broker cannot be built; that it can be is what `make setup` shows."""

import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parents[2] / "broker" / "build.py"


def test_without_go_and_without_its_wheel_one_sentence_says_what_follows(tmp_path: Path) -> None:
    target = tmp_path / "roost-broker"
    done = subprocess.run(
        ["env", f"PATH={tmp_path}", "PIP_NO_INDEX=1", sys.executable, str(BUILD), "--to", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no go on PATH" in done.stdout
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("The embedded broker was not built, so Roost falls back on Tansu")
    assert str(BUILD) in sentence
    assert list(tmp_path.iterdir()) == []


def test_modules_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *("env", "GOPROXY=off", "GOFLAGS=", f"GOMODCACHE={tmp_path / 'modules'}"),
            *(sys.executable, str(BUILD), "--to", str(tmp_path / "roost-broker")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "module lookup disabled by GOPROXY=off" in done.stderr, done.stderr
    assert not (tmp_path / "roost-broker").exists()
