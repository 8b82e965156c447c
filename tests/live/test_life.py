"""The lives of a system: each way to start and to end it, what is left of it, and what the next life finds.

The tests of the house run in their order, and each finds what the one before left.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.cli.lifecycle import FORGETS
from cluster.local.servers import free_port
from roost import client as sdk
from tests.live.house import House, bases, kill_all
from tests.live.running import System
from tests.live.stored import stored_messages
from tests.live.waiting import until
from tests.machine import Machine

pytestmark = pytest.mark.timeout(240)

GONE_S = 10.0
STEP = 2**32
COUNT = 60


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


async def test_ray_runs_what_roles_need_and_no_more(system: System) -> None:
    """Its agents are for a dashboard and for runtime environments; its first workers are all in use."""

    def superfluous() -> str:
        shown = [" ".join(each.cmdline()) for each in system.processes() if each.name() != "raylet"]
        agents = [line for line in shown if "Agent" in line or "agent.py" in line]
        assert not agents, agents
        idle = [line for line in shown if "default_worker" in line or "ray::IDLE" in line]
        return f"workers without a role: {idle}" if idle else ""

    await until(superfluous, within=60)


@pytest.mark.parametrize(
    "words",
    [("up", "--no-such-option"), ("up", "--port", "many"), ("up", "--hosts", "0"), ("dance",), ()],
)
def test_a_wrong_command_line_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    refused = roost(*words, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, ""), refused


def test_a_port_that_is_taken_is_refused_at_once(tmp_path: Path) -> None:
    system = System(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = roost("up", "--json", "--port", str(port), "--data", str(system.data), cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{port} is not available" in refused.stderr
    assert not system.processes()


# --- the house ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(machine: Machine) -> Iterator[House]:
    yield House(machine.own("--port", str(free_port())))
    machine.end_own()


def test_the_verbs_and_their_exit_codes(house: House) -> None:
    system = house.system
    folder, data = system.folder, ("--data", str(system.data))
    folder.mkdir(parents=True)
    nothing = roost("status", "--json", *data, cwd=folder)
    assert (nothing.returncode, nothing.stdout) == (3, "")
    assert "Nothing runs" in nothing.stderr
    assert roost("down", *data, cwd=folder).returncode in (1, 3)

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


async def test_a_second_start_goes_on_where_down_had_ended_the_first(house: House) -> None:
    system = house.system
    await house.register()
    house.kept = await house.said("before the night", "ben", 20)
    await house.left("while you were away", "cat", 10)
    before = bases(system)
    processes = system.processes()
    ports = listening(processes)
    assert len(processes) >= 10, processes
    assert len(ports) >= 5, ports
    words = [sys.executable, "-m", "roost", "down", "--data", str(system.data)]
    down = subprocess.Popen(words, cwd=system.folder)
    assert system.wait() == 0  # it is our child: `down` sees its end when we have
    assert down.wait(30) == 0
    assert_gone(system, ports)
    assert system.further == "", "`--json` prints one line only"
    house.make_a_copy()

    system.env |= {"ROOST_SHARDS": "8"}
    system.start()
    assert "There are 2 shards: ROOST_SHARDS=8 counts at the first start only." in system.tail()
    assert (await system.status())["shards"] == 2
    raised = bases(system)
    assert all(raised[shard] >= base + STEP for shard, base in before.items()), (before, raised)
    house.kept += await house.found("while you were away", "cat", 10)
    house.gone = await house.said("after the night", "ben", 5)
    assert min(house.gone) > max(house.kept)


async def test_what_was_accepted_and_not_stored_outlives_kill_9_of_everything(house: House) -> None:
    system = house.system
    before = bases(system)
    async with house.there("ann") as (ann,):  # nobody is left who could send it again
        for number in range(COUNT):
            await ann.client.send("ben", f"kept {number}")
            if number == 0:
                await ann.gets(lambda: ann.all(sdk.Accepted), "the first answer")
                [store] = await system.roles("mongo")
                os.kill(store["pid"], signal.SIGSTOP)
        await ann.gets(lambda: len(ann.all(sdk.Accepted)) == COUNT, "every answer", within=60)
        kill_all(system)
    system.start()
    assert FORGETS not in system.tail()
    house.gone += await house.found("kept", "ben", COUNT)
    async with house.there("ann") as (ann,):
        await ann.gets(lambda: not ann.client.profile.state.outbox, "every delivery")
    assert bases(system) == before, "the log was found, not made anew"


def test_nothing_is_left_after_a_kill(house: House) -> None:
    system = house.system
    ports = listening(system.processes())
    system.child.kill()
    assert system.wait() == -signal.SIGKILL
    assert_gone(system, ports)
    assert roost("status", "--data", str(system.data), cwd=system.folder).returncode == 3


async def test_a_copy_that_is_put_back_has_what_it_had_and_gives_no_number_again(house: House) -> None:
    house.put_the_copy_back()
    house.system.start()
    further = await house.said("further", "ben", 5, missed=True)
    assert min(further) > max(house.gone)
    everything = sorted([*house.kept, *further])

    def missing() -> str:
        found = [entry.seq for entry in stored_messages(house.system)]
        return "" if found == everything else f"stored are {found}, and not {everything}"

    await until(missing, within=10)


def test_nothing_is_left_after_ctrl_c(house: House) -> None:
    system = house.system
    ports = listening(system.processes())
    system.child.send_signal(signal.SIGINT)
    assert system.wait() == 0
    assert_gone(system, ports)
