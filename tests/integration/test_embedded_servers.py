import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import bson
import psutil
import pytest

from cluster.local import embedded, specs
from cluster.local.servers import (
    HOST,
    Server,
    ServerFailed,
    ServerSpec,
    accepts,
    free_port,
    reserved_port,
    start,
)
from cluster.settings import Kafka, Settings
from roost import child_supervision
from roost.errors import Unavailable
from storage.access import OPEN
from storage.keyring import KeyRing
from storage.mailbox_rows import Cursor
from storage.mongo import MongoStore
from storage.mongo.probe import StoreProbe


@pytest.mark.parametrize("describe", [specs.kfake, specs.tansu, specs.mongo, specs.redis])
async def test_server_starts_answers_and_stops(
    describe: Callable[[int, Path], ServerSpec], tmp_path: Path
) -> None:
    server = await start(describe(free_port(), tmp_path))
    assert server.running
    assert await accepts(server.spec.port)
    process = psutil.Process(server.pid)
    addresses = {each.laddr.ip for each in process.net_connections(kind="tcp") if each.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}
    await server.stop()
    assert await server.stop() == await server.wait()
    assert not server.running
    assert not await accepts(server.spec.port)
    assert server.spec.log.exists()


async def test_wait_returns_when_it_is_killed(tmp_path: Path) -> None:
    server = await start(specs.redis(free_port(), tmp_path))
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert await server.wait() == -signal.SIGKILL


def script(tmp_path: Path, text: str, **changes: float) -> ServerSpec:
    spec = ServerSpec("script", (sys.executable, "-c", text), free_port(), accepts, tmp_path / "log")
    return replace(spec, **changes)  # type: ignore[arg-type]


async def test_failure_shows_the_log(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match=r"(?s)exited with status 7.*the reason"):
        await start(script(tmp_path, "print('the reason', flush=True); raise SystemExit(7)"))


async def test_silent_server_is_not_left_running(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = f"import os,pathlib,time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(60)"
    with pytest.raises(ServerFailed, match="did not answer within 1 s"):
        await start(script(tmp_path, text, ready_s=1))
    assert not psutil.pid_exists(int(note.read_text()))


async def test_deaf_server_is_stopped_by_force(tmp_path: Path) -> None:
    port = free_port()
    text = (
        "import signal,socket,time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"s=socket.create_server(('127.0.0.1',{port})); time.sleep(60)"
    )
    server = await start(replace(script(tmp_path, text, stop_s=0.2), port=port))
    assert await server.stop() == -signal.SIGKILL


LATE = """
import signal, socket, threading
ended, accepting = threading.Event(), socket.create_server(("127.0.0.1", PORT))
def accept():
    while not ended.is_set():
        accepting.accept()
signal.signal(signal.SIGTERM, lambda *_: (ended.set(), accepting.close()))
threading.Thread(target=accept).start()
ended.wait()
"""


async def test_server_that_waits_for_one_more_client_is_stopped_in_order(tmp_path: Path) -> None:
    port = free_port()
    spec = script(tmp_path, LATE.replace("PORT", str(port)), stop_s=5)
    server = await start(replace(spec, port=port, stops_late=True))
    assert await server.stop() == 0


async def test_env_reaches_the_server(tmp_path: Path) -> None:
    spec = replace(
        script(tmp_path, "import os; print(os.environ['X'], os.environ['PATH'] != ''); exit(1)"),
        env={"X": "a=b"},
    )
    with pytest.raises(ServerFailed, match="a=b True"):
        await start(spec)


PARENT = """
import asyncio, sys
from pathlib import Path
from cluster.local import servers, specs
async def main():
    server = await servers.start(specs.redis(servers.free_port(), Path(sys.argv[1])))
    print(server.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(5):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)


async def test_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    with parent.stdout:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    await until_gone(pid)


def test_nothing_is_started_for_a_parent_that_is_gone() -> None:
    program = child_supervision.__file__
    done = subprocess.run(
        [sys.executable, program, "9", "1", "--", "echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is gone" in done.stderr
    assert not done.stdout


async def test_killed_store_is_unavailable_and_loses_nothing(tmp_path: Path, keyring: KeyRing) -> None:
    spec = specs.mongo(free_port(), tmp_path)
    server = await start(spec)
    store = MongoStore(f"mongodb://{spec.address}", "roost", "pymongo", keyring)
    await store.prepare()
    await store.mailboxes.put_cursors([Cursor("alice", "PHONEPHONE", 7)])
    server.kill()
    await server.wait()
    with pytest.raises(Unavailable):
        await store.mailboxes.cursors_of(["alice"])
    server = await start(spec)
    await _until_back(store, server)
    assert await store.mailboxes.cursors_of(["alice"]) == {"alice": {"PHONEPHONE": 7}}
    await store.close()
    await server.stop()


async def test_a_store_that_refuses_every_read_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SecantusDB does after a write that found no room, for as long as it runs."""
    monkeypatch.setattr(embedded, "_LOOK_EVERY_S", 0.1)
    asked: list[int] = []

    async def unhealthy(port: int) -> bool:
        asked.append(port)
        return len(asked) != 2

    server = await start(specs.redis(free_port(), tmp_path))
    server.spec = replace(server.spec, unhealthy=unhealthy)
    async with asyncio.timeout(20):
        assert await embedded._ended(server) == -signal.SIGKILL
    assert asked == [server.spec.port] * 5, "three times in a row, not three times"


async def test_only_an_internal_error_makes_a_store_unhealthy(tmp_path: Path) -> None:
    server = await start(specs.mongo(free_port(), tmp_path))
    assert server.spec.unhealthy is not None
    assert not await server.spec.unhealthy(server.spec.port)
    await server.stop()
    assert not await server.spec.unhealthy(server.spec.port)


@pytest.mark.parametrize(("code", "refuses"), [(1, True), (13, False)])
async def test_the_answer_to_a_read_is_understood(code: int, refuses: bool) -> None:  # noqa: FBT001
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        body = bson.encode({"ok": 0.0, "code": code})
        writer.write(struct.pack("<iiiiIB", 21 + len(body), 1, 1, 2013, 0, 0) + body)
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as other:
        port = other.sockets[0].getsockname()[1]
        assert await StoreProbe(HOST, port, "roost", "log", OPEN).refuses_reads() == refuses


async def _until_back(store: MongoStore, server: Server) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                return await store.ping()
            except Unavailable:
                assert server.running, server.spec.log.read_text()


async def test_another_process_on_the_port_is_not_mistaken_for_the_server(tmp_path: Path) -> None:
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), HOST, 0) as other:
        taken = other.sockets[0].getsockname()[1]
        with pytest.raises(ServerFailed, match="exited"):
            await start(specs.mongo(taken, tmp_path))


async def test_a_reserved_port_is_for_the_server_alone(tmp_path: Path) -> None:
    with reserved_port() as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind((HOST, port))
        server = await start(specs.redis(port, tmp_path))
        await server.stop()
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind((HOST, port))


def test_set_up_has_built_the_broker() -> None:
    """Everything else runs on it: a test that falls back on Tansu would prove little."""
    assert (Path(sys.executable).parent / "roost-broker").exists(), "run: make setup"


def test_tansu_replaces_a_broker_that_was_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    assert not specs.broker("auto", sync=True)(port, tmp_path).forgets
    assert specs.broker("tansu", sync=True)(port, tmp_path).forgets
    monkeypatch.setattr(specs, "_BROKER", "roost-broker-that-was-not-built")
    assert specs.broker("auto", sync=True)(port, tmp_path).forgets
    with pytest.raises(ServerFailed, match="python broker/build"):
        specs.broker("kfake", sync=True)(port, tmp_path)


async def test_tansu_is_not_started_over_a_log_that_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start(specs.broker("auto", sync=True)(free_port(), tmp_path))
    await server.stop()
    monkeypatch.setattr(specs, "_BROKER", "roost-broker-that-was-not-built")
    with pytest.raises(ServerFailed, match="perhaps what was accepted and is not stored"):
        specs.broker("auto", sync=True)(free_port(), tmp_path)


async def test_only_a_log_in_memory_is_reported_lost_after_a_crash(tmp_path: Path) -> None:
    for which, told in (("kfake", []), ("tansu", ["away", "lost"])):
        said: list[str] = []
        settings = Settings(data=tmp_path / which, kafka=Kafka(embedded=which))
        heard = (_unheard, _noted(said, "away"), _noted(said, "lost"))
        parts = embedded.Embedded(settings, *heard, makers=[specs.broker(which, sync=True)])
        given = await parts.start()
        assert (parts.forgets, given.kafka.idempotent) == (bool(told), False if told else None)
        assert bool(given.log.max_records) == bool(told) != bool(given.log.keep_mb)
        parts.watch()
        [row] = [row for row in parts.rows() if row["name"] == "kafka"]
        os.kill(row["pid"], signal.SIGKILL)
        async with asyncio.timeout(20):
            while [each["pid"] for each in parts.rows() if each["name"] == "kafka"] == [row["pid"]]:
                await asyncio.sleep(0.02)
        await parts.stop()
        assert said == told


async def _unheard(_rows: list[dict[str, object]]) -> None:
    """The rows are not looked at."""


def _noted(said: list[str], word: str) -> Callable[[], Awaitable[None]]:
    async def note() -> None:
        said.append(word)

    return note
