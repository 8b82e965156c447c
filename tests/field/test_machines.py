"""Letter E: starting, stopping, living on a machine: odd terminals, folders, names, servers and signals."""

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import pytest
from cryptography.hazmat.primitives import serialization

from cluster.certificates.authority import Authority
from cluster.local import runfile
from roost import own_packages
from tests.live.running import System

pytestmark = pytest.mark.timeout(120)

SILENT: Final = "127.0.0.1:1"
"""Nothing listens there: only root may, and does not."""

ENDED_WITHIN_S: Final = 10.0
"""What `docker stop` waits before it kills."""

OwnSystem = Callable[..., System]


@dataclass(frozen=True)
class Row:
    """A command that is refused before anything starts, with what it must say."""

    case: str
    command: str
    says: str
    code: int = 2
    env: dict[str, str] = field(default_factory=dict)


UP = "up --port 0 --data {tmp}/{row}"
ROWS: Final = (
    Row("nobody listens: kafka", f"{UP} --kafka {SILENT}", f"no kafka at {SILENT} (Connection refused)", 3),
    Row(
        "nobody listens: mongo", f"{UP} --mongo mongodb://a:b@{SILENT}", f"mongodb://a:***@{SILENT} (Conn", 3
    ),
    Row("nobody listens: redis", f"{UP} --redis redis://{SILENT}/0", f"redis://{SILENT}/0 (Connection", 3),
    Row(
        "a name that is not known",
        f"{UP} --kafka kafka.invalid:9092",
        "kafka.invalid:9092 (",
        3,
        {"CLEARTEXT__SERVERS_INSECURE": "true"},
    ),
    Row("another server: kafka", f"{UP} --kafka {{other}}", "kafka at {other}: ", 3),
    Row("another server: redis", f"{UP} --redis redis://{{other}}", "redis at redis://{other}: ", 3),
    Row(
        "no scheme",
        f"{UP} --mongo localhost:27017",
        "'localhost:27017' is no address that begins with mongodb://",
    ),
    Row(
        "certificate away",
        UP,
        "{tmp}/away.pem and no key cannot be used",
        env={"TLS__CERTIFICATE": "{tmp}/away.pem"},
    ),
    Row("certificate of noise", UP, "{tmp}/noise and no key cannot", env={"TLS__CERTIFICATE": "{tmp}/noise"}),
    Row(
        "certificate without its key",
        UP,
        "{tmp}/alone has no private key in it. Set ROOST_TLS__KEY",
        env={"TLS__CERTIFICATE": "{tmp}/alone"},
    ),
    Row("credential of noise", UP, "{tmp}/noise is not JSON", env={"FCM__CREDENTIALS_FILE": "{tmp}/noise"}),
    Row(
        "credential without a key", UP, "is not a key in PEM", env={"FCM__CREDENTIALS_FILE": "{tmp}/account"}
    ),
    Row("data folder: a file", "up --data {tmp}/noise", "{tmp}/noise cannot be written: Not a directory"),
    Row("data folder: in a file", "up --data {tmp}/noise/data", "cannot be written: Not a directory"),
    Row("data folder: impossible", "up --data /proc/none/data", "/proc/none/data cannot be written"),
    Row("data folder: too long", "up --data {tmp}/" + "x" * 300, "cannot be written: File name too long"),
    Row("key ring: empty", UP, "is not a key ring", env={"KEYRING__FILE": "{tmp}/empty"}),
    Row("key ring: open", UP, "chmod 600 {tmp}/open", env={"KEYRING__FILE": "{tmp}/open"}),
    Row(
        "an address of elsewhere",
        UP,
        "192.0.2.1:0 is not available",
        env={"HTTP__HOST": "192.0.2.1", "HTTP__INSECURE": "true"},
    ),
    Row("an API in the clear", UP, "ROOST_HTTP__INSECURE=true", env={"HTTP__HOST": "0.0.0.0"}),
    Row(
        "links of elsewhere",
        UP,
        "ROOST_CLUSTER__LISTEN=192.0.2.1 is no",
        env={"CLUSTER__LISTEN": "192.0.2.1", "CLUSTER__INSECURE": "true"},
    ),
    Row("a squatter in the temporary folder", UP, "roost-{uid} for sockets", env={"TMPDIR": "{squatted}"}),
    Row("chat: an impossible name", "chat --as Jürgen!", "is no username"),
    Row(
        "chat: no address",
        "chat --as alice --server localhost:80",
        "'localhost:80' is no address of a server",
    ),
    Row("chat: a file for --data", "chat --as alice --data {tmp}/noise", "kept in {tmp}/noise: File exists"),
    Row("chat: no terminal", "chat --as alice --data {tmp}/chat", "There is no terminal to ask"),
    Row("demo: no address", "demo --server nowhere", "'nowhere' is no address of a server"),
    Row("sim: a report into nowhere", "sim --report {tmp}/none/r.html", "r.html cannot be written"),
    Row("stdout is closed", "config >&-", "", 0),
    Row("stderr is closed", "config 2>&-", "", 0),
    Row("all three are closed", "config <&- >&- 2>&-", "", 0),
    Row("stderr is closed, and there is something to say", "chat --as alice --data {tmp}/noise 2>&-", "", 2),
    Row("who reads stdout is gone", "config | true; exit ${{PIPESTATUS[0]}}", "", 1),
    Row("the disk of stdout is full", "config >/dev/full", "No space left", 1),
    Row("the disk of stderr is full", "chat --as alice --data {tmp}/noise 2>/dev/full", "", 2),
)


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[tuple[int, str]]]]:
    """Every row's exit code and words; some at the same time."""
    tmp = tmp_path_factory.mktemp("rows")
    (tmp / "noise").write_text("{")
    made = Authority.create(tmp / "ca", "example.org", dt.datetime.now(dt.UTC)).certificate
    (tmp / "alone").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp / "account").write_text(
        json.dumps(
            dict.fromkeys(("client_email", "token_uri", "project_id", "private_key"), "x")
            | {"type": "service_account"}
        )
    )
    for name, mode in (("empty", 0o600), ("open", 0o644)):
        (tmp / name).touch(mode)
        (tmp / name).chmod(mode)
    squatted = Path("/tmp") / f"sq{os.getpid()}"  # short, else its place is /tmp
    squatted.mkdir()
    (squatted / f"roost-{os.getuid()}").symlink_to(tmp)
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(4) as pool:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        words = {"tmp": str(tmp), "squatted": str(squatted), "other": address, "uid": str(os.getuid())}
        hangs_up = pool.submit(_hang_up_on_everybody, other)
        yield {
            row.case: pool.submit(_carried_out, row, words | {"row": f"row-{number}"})
            for number, row in enumerate(ROWS)
            if any(f"[{row.case}]" in item.name for item in request.session.items)
        }
        other.shutdown(socket.SHUT_RDWR)
        hangs_up.result()
    (squatted / f"roost-{os.getuid()}").unlink()
    squatted.rmdir()


def _hang_up_on_everybody(other: socket.socket) -> None:
    """Be a server of another kind, which understands nothing."""
    while True:
        try:
            other.accept()[0].close()
        except OSError:
            return


def _carried_out(row: Row, words: dict[str, str]) -> tuple[int, str]:
    env = {
        f"ROOST_{name}" if name != "TMPDIR" else name: text.format(**words) for name, text in row.env.items()
    }
    found = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m roost {row.command.format(**words)}"],
        env=psutil.Process().environ() | env,
        cwd=words["tmp"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = found.stderr
    assert "Traceback" not in said, said
    assert row.says.format(**words) in said, said
    return found.returncode, said


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case)
def test_what_is_refused_before_anything_starts(
    answers: dict[str, Future[tuple[int, str]]], row: Row
) -> None:
    code, said = answers[row.case].result()
    assert code == row.code, said


# --- with a system --------------------------------------------------------------------------------


def test_a_folder_serves_one_system(system: System) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "roost", "up", "--port", "0", "--data", str(system.data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (again.returncode, again.stdout) == (2, "")
    assert f"process {system.child.pid} uses the data folder {system.data}" in again.stderr


@pytest.mark.attack(
    "read the data folder as another user of the machine",
    "files and folders are the user's alone",
)
def test_what_it_makes_is_for_its_user_alone(system: System) -> None:
    made = [system.data, *system.data.rglob("*")]
    assert len(made) > 10
    assert [str(each) for each in made if not each.is_symlink() and each.stat().st_mode & 0o077] == []


def test_a_demo_on_a_terminal_that_knows_ascii_only(system: System) -> None:
    plain = {"LC_ALL": "C", "TERM": "dumb", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "roost", "demo", "--server", system.http],
        env=psutil.Process().environ() | plain,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Alice sees that it is delivered" in done.stdout
    assert done.stdout.isascii()


# --- its beginning and its end ----------------------------------------------------------------------


@pytest.fixture
def _hang_ups_count() -> Iterator[None]:
    """After nohup a hang-up is ignored, and so it is by whatever is started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_hang_ups_count")
@pytest.mark.parametrize(
    ("number", "begun"),
    [(signal.SIGTERM, "ray"), (signal.SIGHUP, "host-1")],
    ids=["SIGTERM while Ray starts", "SIGHUP while the roles start"],
)
def test_a_signal_during_the_start_ends_it_within_seconds(
    own_system: OwnSystem, number: signal.Signals, begun: str
) -> None:
    system = own_system()
    system.launch()
    _until((system.data / "logs" / f"{begun}.log").exists, within_s=60)
    seen = system.processes()
    began = time.monotonic()
    system.child.send_signal(number)
    assert system.wait(60) == 1
    took_s = time.monotonic() - began
    assert "Interrupted while it started." in system.log.read_text()
    assert not [each for each in (*seen, *system.processes()) if _lives(each)]
    assert took_s < ENDED_WITHIN_S


@pytest.mark.usefixtures("_hang_ups_count")
def test_in_the_worst_of_places_it_starts_and_a_closed_terminal_stops_it_in_order(
    own_system: OwnSystem, tmp_path: Path
) -> None:
    """No home, no streams, other people's packages in the way, a log that forgets; then SIGHUP."""
    system = own_system()
    for name in ("api", "cluster", "storage"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is not ours')")
    odd = {"HOME": "/proc/none", "PYTHONPATH": str(tmp_path), "ROOST_KAFKA__EMBEDDED": "tansu"}
    command = f"{' '.join(own_packages.program('roost'))} up --port 0 --data {system.data} <&- 2>&- | true"
    shell = subprocess.Popen(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=psutil.Process().environ() | system.env | odd,
        start_new_session=True,
    )
    try:
        _until(lambda: runfile.read(system.data) is not None, within_s=90)
        running = runfile.found(system.data)
        process = running.process()
        assert process is not None
        everything = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGHUP)
        _until(lambda: not _lives(process), within_s=60)
        stopped = runfile.stopped(system.data, running.pid)
        assert stopped is not None
        assert stopped.given_up == []
        assert not [each for each in everything if _lives(each)]
    finally:
        for left in psutil.Process(shell.pid).children(recursive=True) if shell.poll() is None else ():
            left.kill()
        shell.wait(30)


def _until(there: Callable[[], bool], within_s: float) -> None:
    ends = time.monotonic() + within_s
    while not there():
        assert time.monotonic() < ends, f"not within {within_s:g} s"
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
