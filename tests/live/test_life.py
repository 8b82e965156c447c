"""How a system begins and ends, whichever way it ends, and what is left of it."""

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
from pymongo import MongoClient

from roost import client as sdk
from tests.live.crowd import PASSWORD
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


def _bases(system: System) -> dict[int, int]:
    with MongoClient[dict[str, int]](system.mongo) as mongo:
        return {
            state["_id"]: state["base"] for state in mongo["roost"]["log"].find({"base": {"$exists": True}})
        }


async def test_a_second_start_goes_on_where_the_first_one_was_stopped(own_system: OwnSystem) -> None:
    system = own_system()
    system.start()
    stores = {name: sdk.MemoryKeystore() for name in ("ann", "ben", "cat")}
    early: list[sdk.Event] = []
    options = sdk.Options(on_event=early.append)
    async with sdk.connections() as http:
        ann, ben, cat = [
            await sdk.Client.register(system.http, name, PASSWORD, keystore=store, http=http, options=options)
            for name, store in stores.items()
        ]
        del cat  # has an account and never connects: what it is sent lies in the store
        seen = await _exchange(ann, ben, early, 20)
        for number in range(10):
            await ann.send("cat", f"while you were away {number}")
        await until(lambda: _unaccepted(ann), within=30)
        await ann.close()
        await ben.close()
    bases = _bases(system)
    began_ports = listening(system.processes())
    server = system.http
    assert system.stop() == 0
    assert system.further == "", "`--json` prints one line only"
    assert_gone(system, began_ports)

    system.start()
    raised = _bases(system)
    assert all(raised[shard] >= base + 2**32 for shard, base in bases.items()), (bases, raised)
    async with sdk.connections() as http:
        for store in stores.values():
            profile = store.load()
            assert profile is not None
            profile.server = profile.server.replace(server, system.http)
        heard: list[sdk.Event] = []
        clients = {
            name: sdk.Client.resume(store, http=http, options=sdk.Options(on_event=heard.append))
            for name, store in stores.items()
        }
        for client in clients.values():
            await client.start()
        await clients["ann"].send("ben", "after the night")

        def missing() -> str:
            return "" if len(_messages(heard)) >= 11 else f"{len(_messages(heard))} of 11: {heard}"

        await until(missing, within=60)
        told = _messages(heard)
        assert len(told) == 11
        late = [event for event in told if event.content.startswith(b"while")]
        assert [event.text for event in late] == [f"while you were away {number}" for number in range(10)]
        [fresh] = [event for event in told if event.content == b"after the night"]
        assert fresh.seq > max(seen)
        assert not [
            event for event in heard if isinstance(event, sdk.Missed | sdk.Failed | sdk.Undecryptable)
        ]
        for client in clients.values():
            await client.close()


async def _exchange(ann: sdk.Client, ben: sdk.Client, told: list[sdk.Event], count: int) -> list[int]:
    """Let ann write to ben, wait until it is delivered, and return the numbers in ben's mailbox."""
    await ann.start()
    await ben.start()
    for number in range(count):
        await ann.send("ben", f"before the night {number}")
    await until(lambda: "" if len(_messages(told)) == count else f"{len(_messages(told))} came", within=60)
    await until(
        lambda: f"outbox {len(ann.profile.state.outbox)}" if ann.profile.state.outbox else "", within=60
    )
    seqs = [event.seq for event in _messages(told)]
    assert seqs == sorted(set(seqs))
    return seqs


def _messages(told: list[sdk.Event]) -> list[sdk.MessageReceived]:
    return [event for event in told if isinstance(event, sdk.MessageReceived)]


def _unaccepted(client: sdk.Client) -> str:
    waiting = [item.id for item in client.profile.state.outbox.values() if item.seq is None]
    return f"not accepted: {waiting}" if waiting else ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after(number: signal.Signals, own_system: OwnSystem) -> None:
    system = own_system()
    system.start()
    processes = system.processes()
    ports = listening(processes)
    assert len(processes) >= 10, processes
    assert len(ports) >= 5, ports
    system.send_signal(number)
    status = system.wait()
    assert status == (0 if number == signal.SIGINT else -number)
    took = assert_gone(system, ports)
    print(f"{number.name}: everything gone {took:.1f} s after the parent")  # noqa: T201 -- shown with -rP
    if number == signal.SIGKILL:
        assert roost("status", "--data", str(system.data), cwd=system.folder).returncode == 3
        system.start()
        assert system.stop() == 0
    assert_gone(system, ports)


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
    assert {row["role"] for row in status["roles"]} == {
        *("coordinator", "gateway", "router", "host", "pusher", "kafka", "mongo", "redis", "fcm")
    }
    assert all(psutil.pid_exists(row["pid"]) for row in status["roles"])
    assert sum(row["shards"] for row in status["roles"] if row["role"] == "host") == status["shards"]
    again = roost("up", "--json", "--port", "0", *data, cwd=folder)
    assert again.returncode == 2
    assert "runs already" in again.stderr

    ports = listening(system.processes())
    down = subprocess.Popen([sys.executable, "-m", "roost", "down", *data], cwd=folder)
    assert system.wait() == 0  # it is our child: `down` sees its end when we have
    assert down.wait(30) == 0
    assert_gone(system, ports)

    other = subprocess.run(
        ["env", "ROOST_SHARDS=4", sys.executable, "-m", "roost", "up", "--json", "--port", "0", *data],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (other.returncode, other.stdout) == (2, "")
    assert "has 8 shards" in other.stderr
    assert "ROOST_SHARDS=8" in other.stderr
    assert "Traceback" not in other.stderr
    assert_gone(system, set())


def test_a_port_that_is_taken_is_refused_at_once(own_system: OwnSystem, tmp_path: Path) -> None:
    system = own_system()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = roost("up", "--json", "--port", str(port), "--data", str(system.data), cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{port} cannot be listened on" in refused.stderr
    assert not system.processes()
