"""The watchdog of Ray's GCS, on processes with Ray's names and options; tests/cluster has the real ones."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PORT = "58379"
START_S = 10.0


class Machine:
    """Stands for the head machine: a process for each daemon, which does nothing but live."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.children: list[subprocess.Popen[bytes]] = []

    def daemon(self, name: str, *options: str) -> "subprocess.Popen[bytes]":
        script = self._folder / name
        script.write_text("#!/bin/sh\nsleep 60 &\ntrap 'kill $!; exit' TERM\nwait\n")
        script.chmod(0o755)
        self.children.append(subprocess.Popen([script, *options]))
        return self.children[-1]

    def watchdog(self) -> "subprocess.Popen[bytes]":
        command = (sys.executable, "-m", "cluster.local.gcs_watchdog", PORT)
        self.children.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        return self.children[-1]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for child in reversed(made.children):  # the watchdog first, and what it has started
        for each in psutil.Process(child.pid).children() if child.poll() is None else ():
            each.terminate()
        child.terminate()
    for child in made.children:
        child.wait(START_S)
        if child.stderr is not None:
            child.stderr.close()


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_it_starts_a_gcs_that_died_and_ends_when_ray_is_stopped(machine: Machine) -> None:
    options = (f"--gcs_server_port={PORT}", "--redis_address=10.0.0.2")
    gcs = machine.daemon("gcs_server", *options)
    raylet = machine.daemon("raylet", f"--gcs-address=10.0.0.1:{PORT}")
    watchdog = machine.watchdog()
    assert watchdog.stderr is not None
    assert b"watching" in watchdog.stderr.readline()

    gcs.terminate()
    gcs.wait(START_S)
    family = psutil.Process(watchdog.pid)
    until(lambda: [each for each in family.children() if options[0] in each.cmdline()])
    [again] = family.children()
    assert again.cmdline()[-2:] == list(options)

    raylet.terminate()
    raylet.wait(START_S)
    again.terminate()
    assert watchdog.wait(START_S) == 0
    assert not again.is_running()


def test_without_redis_there_is_no_gcs_watchdog(machine: Machine) -> None:
    machine.daemon("gcs_server", f"--gcs_server_port={PORT}")
    machine.daemon("raylet", f"--gcs-address=10.0.0.1:{PORT}")
    watchdog = machine.watchdog()
    assert watchdog.wait(START_S) == 1
    assert watchdog.stderr is not None
    assert b"RAY_REDIS_ADDRESS" in watchdog.stderr.read()
