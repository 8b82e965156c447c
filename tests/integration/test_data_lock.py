"""One system at a time in a data folder: while it runs, and until the last child of a killed one is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster.local import data_lock
from cluster.local.data_lock import FolderInUse, locked

HOLDS = """
import subprocess, sys, time
from pathlib import Path
from cluster.local.data_lock import locked

with locked(Path(sys.argv[1])) as descriptor:
    child = [sys.executable, "-c", "import time; time.sleep(60)"]
    print(subprocess.Popen(child, pass_fds=(descriptor,)).pid, flush=True)
    time.sleep(60)
"""


def test_another_one_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(FolderInUse, match=f"process {os.getpid()} uses the data folder {tmp_path}"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        assert data_lock.holder(tmp_path) == psutil.Process()


def test_who_wrote_its_number_there_long_ago_is_not_taken_for_another_process(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"{os.getpid()} 1.0\n")
    assert data_lock.holder(tmp_path) is None
    (tmp_path / "lock").write_text("")
    assert data_lock.holder(tmp_path) is None


def test_what_is_left_of_a_killed_one_is_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        child = psutil.Process(int(killed.stdout.readline()))
        os.kill(killed.pid, signal.SIGKILL)
    try:
        with (
            pytest.raises(FolderInUse, match=r"Processes of a system that was killed still use"),
            locked(tmp_path, 0.1),
        ):
            pass
        began = time.monotonic()
        ending = subprocess.Popen(["bash", "-c", f"sleep 0.3; kill {child.pid}"])
        with locked(tmp_path):
            assert time.monotonic() - began > 0.25, "it was not waited for"
        ending.wait(10)
    finally:
        child.kill()
