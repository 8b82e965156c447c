"""Children that end with their parent, and descendants that end with a child."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from roost.child_supervision import tied

WITHIN_S = 10.0

ORPHAN = (
    "import subprocess, sys; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"
)
LONG = f"{ORPHAN}; import time; time.sleep(60)"

POLITE = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("bye", flush=True) or exit())
print(flush=True)
time.sleep(60)
"""

PARENT = """
import subprocess, sys, time
from signal import Signals
from roost.child_supervision import tied
words = tied(on_death=Signals(int(sys.argv[1])), reap=sys.argv[2] == "reap")
print(subprocess.Popen([*words, *sys.argv[3:]]).pid, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_left_behind_by_a_command_end_with_it() -> None:
    done = subprocess.run(
        [
            *tied("X=1", reap=True),
            sys.executable,
            "-c",
            f"{ORPHAN}; import os; sys.exit(int(os.environ['X']) + 2)",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert gone(int(done.stdout))


@pytest.mark.parametrize("mode", ["tied", "reap"])
def test_a_killed_parent_takes_its_child_along(mode: str) -> None:
    command = [sys.executable, "-c", LONG]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(int(signal.SIGKILL)), mode, *command],
        stdout=subprocess.PIPE,
        text=True,
    )
    child, grandchild = int(line(parent)), int(line(parent))
    assert not gone(child)
    parent.kill()
    parent.wait()
    until(lambda: gone(child))
    if mode == "reap":
        until(lambda: gone(grandchild))
    else:
        psutil.Process(grandchild).kill()
    assert parent.stdout is not None
    parent.stdout.close()


def test_what_is_told_to_end_again_and_again_leaves_nothing_behind() -> None:
    """The kernel may tell it of more than one death above it: it must not break off in the middle."""
    many = (
        "import subprocess, time; [subprocess.Popen(['sleep', '60']) for _ in range(20)]; print(flush=True)"
    )
    with subprocess.Popen(
        [*tied(reap=True), sys.executable, "-c", f"{many}; time.sleep(60)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as reaper:
        line(reaper)
        below = psutil.Process(reaper.pid).children(recursive=True)
        assert len(below) == 21
        while reaper.poll() is None:
            reaper.send_signal(signal.SIGTERM)
        assert reaper.stderr is not None
        assert reaper.stderr.read() == ""
        assert reaper.returncode == 128 + signal.SIGKILL
    assert all(gone(each.pid) for each in below)


def test_a_child_can_be_asked_to_stop_gracefully() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(int(signal.SIGTERM)), "tied", sys.executable, "-c", POLITE],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    line(parent)
    line(parent)
    parent.kill()
    assert parent.stdout.read().strip() == "bye"
    parent.wait()
    parent.stdout.close()
