"""The launcher of `roost up`, with small programs in its place."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from roost.cli.launch import RoostUp, StoppedBadly
from roost.errors import Unavailable

READY = 'print(\'noise\'); print(\'{"ready": true, "http": "here"}\', flush=True)'
STOPS = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit({status})); {ready}; time.sleep(60)"


def up(folder: Path, code: str) -> RoostUp:
    return RoostUp(folder, folder / "up.log", program=(sys.executable, "-c", code))


def test_the_ready_line_is_found_and_the_stop_is_in_order(tmp_path: Path) -> None:
    system = up(tmp_path, STOPS.format(status=0, ready=READY)).start()
    assert system.ready["http"] == "here"
    assert system.running
    system.stop_in_order()
    assert not system.running
    assert system.stop() == 0, "it was stopped already"


def test_output_after_the_ready_line_is_kept(tmp_path: Path) -> None:
    system = up(tmp_path, f"{READY}; print('more')").start()
    assert system.wait() == 0
    assert system.further == "more\n"


def test_a_server_that_exits_before_it_is_ready_is_reported_with_its_log(tmp_path: Path) -> None:
    system = up(tmp_path, "raise SystemExit('no port is free')")
    with pytest.raises(Unavailable, match="no port is free"):
        system.start()
    assert system.stop() == 1


def test_a_disorderly_stop_is_reported(tmp_path: Path) -> None:
    system = up(tmp_path, STOPS.format(status=1, ready=READY)).start()
    with pytest.raises(StoppedBadly, match="did not stop in order"):
        system.stop_in_order()


@pytest.mark.parametrize("on_death", ["SIGTERM", "SIGKILL"])
def test_it_does_not_outlive_its_parent(tmp_path: Path, on_death: str) -> None:
    program = STOPS.format(status=0, ready=READY)
    parent = (
        "from pathlib import Path; import signal, sys, time; from roost.cli.launch import RoostUp;"
        f"up = RoostUp(Path({str(tmp_path)!r}), Path({str(tmp_path / 'up.log')!r}),"
        f"program=(sys.executable, '-c', {program!r}), on_death=signal.{on_death});"
        "up.start(); print(up.child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        child = psutil.Process(int(running.stdout.readline()))
        os.kill(running.pid, signal.SIGKILL)
    ends = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < ends, "it outlived its parent"
        time.sleep(0.02)
