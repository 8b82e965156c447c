"""The life of a system: its start, its end in each way, and nothing left of it."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(300)

GONE_S = 10.0

OwnSystem = Callable[..., System]


def roost(*arguments: str, cwd: Path, within: float = 120) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "roost", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=within, check=False)


def listening(processes: list[psutil.Process]) -> set[int]:
    """Return the ports that these processes listen on."""
    pids = {each.pid for each in processes}
    return {port for port, pid in _listeners() if pid in pids}


def _listeners() -> list[tuple[int, int | None]]:
    found = [each for each in psutil.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    return [(each.laddr.port, each.pid) for each in found if each.laddr]


def _shown(pid: int | None) -> str:
    return "?" if pid is None or not psutil.pid_exists(pid) else str(psutil.Process(pid))


def assert_gone(system: System, ports: set[int]) -> float:
    """Assert that nothing of the system is left, and return how long that took."""
    began = time.monotonic()
    while left := system.processes():
        assert time.monotonic() - began < GONE_S, f"still there: {left}"
        time.sleep(0.1)
    held = {port: _shown(pid) for port, pid in _listeners() if port in ports}
    assert not held
    return time.monotonic() - began


def test_the_verbs_and_their_exit_codes(own_system: OwnSystem) -> None:
    system = own_system()
    folder = system.folder
    folder.mkdir(parents=True)
    data = ("--data", str(system.data))

    nothing = roost("status", "--json", *data, cwd=folder)
    assert (nothing.returncode, nothing.stdout) == (3, "")
    assert "Nothing runs" in nothing.stderr
    assert roost("down", *data, cwd=folder).returncode in (1, 3)
    for usage in (
        ["up", "--no-such-option"],
        ["up", "--port", "many"],
        ["up", "--hosts", "0"],
        ["dance"],
        [],
    ):
        refused = roost(*usage, cwd=folder)
        assert (refused.returncode, refused.stdout) == (2, ""), (usage, refused)

    system.start()
    shown = roost("status", "--json", *data, cwd=folder)
    assert shown.returncode == 0
    status = json.loads(shown.stdout)
    rows = [row for row in status["roles"] if row["role"] != "spare"]  # made later, and not waited for
    assert {row["role"] for row in rows} == {
        *("coordinator", "gateway", "router", "host", "pusher", "kafka", "mongo", "redis", "fcm")
    }
    assert all(psutil.pid_exists(row["pid"]) for row in rows)
    assert sum(row["shards"] for row in status["roles"] if row["role"] == "host") == status["shards"]
    again = roost("up", "--json", "--port", "0", *data, cwd=folder)
    assert again.returncode == 2
    assert "already running" in again.stderr

    processes = system.processes()
    ports = listening(processes)
    assert len(processes) >= 10, processes
    assert len(ports) >= 5, ports
    down = subprocess.Popen([sys.executable, "-m", "roost", "down", *data], cwd=folder)
    assert system.wait() == 0  # it is our child: `down` sees its end when we have
    assert down.wait(30) == 0
    assert_gone(system, ports)


def test_nothing_is_left_after_a_kill_or_ctrl_c_and_the_data_is_there(own_system: OwnSystem) -> None:
    system = own_system().start()
    ports = listening(system.processes())
    system.child.kill()
    assert system.wait() == -signal.SIGKILL
    assert_gone(system, ports)
    data = ("--data", str(system.data))
    assert roost("status", *data, cwd=system.folder).returncode == 3

    system.env |= {"ROOST_SHARDS": "8"}
    system.start()
    again = roost("status", "--json", *data, cwd=system.folder)
    assert json.loads(again.stdout)["shards"] == 2
    assert "There are 2 shards: ROOST_SHARDS=8 counts at the first start only." in system.tail()
    ports = listening(system.processes())
    system.child.send_signal(signal.SIGINT)
    assert system.wait() == 0
    assert_gone(system, ports)


def test_a_port_that_is_taken_is_refused_at_once(own_system: OwnSystem, tmp_path: Path) -> None:
    system = own_system()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = roost("up", "--json", "--port", str(port), "--data", str(system.data), cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{port} is not available" in refused.stderr
    assert not system.processes()


async def test_ray_runs_what_roles_need_and_no_more(system: System) -> None:
    """Its agents are for a dashboard and for runtime environments; its first workers are all in use."""

    def superfluous() -> str:
        shown = [" ".join(each.cmdline()) for each in system.processes() if each.name() != "raylet"]
        agents = [line for line in shown if "Agent" in line or "agent.py" in line]
        assert not agents, agents
        idle = [line for line in shown if "default_worker" in line or "ray::IDLE" in line]
        return f"workers without a role: {idle}" if idle else ""

    await until(superfluous, within=60)
