"""A server of one's own for a while: a child process that does not outlive its parent."""

import json
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from roost.child_supervision import tied
from roost.errors import RoostError, Unavailable

READY_S = 120.0
"""How long a start may take."""

_STOP_S = 480.0
"""It ends sooner by itself, even if a server hangs; then it says what was not stored."""

_LOG_LINES = 15


@contextmanager
def own_server() -> Iterator[dict[str, Any]]:
    """Run ``roost up`` on a free port with a temporary data folder; yield its ready line.

    The child is stopped in order at the end. If this process dies without getting there, the
    kernel tells the child to stop.

    Raises:
        Unavailable: It did not become ready; the end of its log is in the sentence.
        RoostError: It did not stop as it should; what it said of that is in the sentence.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"roost-{secrets.token_hex(2)}-"))
    log = (folder / "up.log").open("w+")
    child = _start(folder, log)
    try:
        try:
            yield _ready(child, log)
        finally:
            status = _stop(child)
        if status:
            raise RoostError(
                "internal", f"`roost up` did not stop in order. The end of what it said:\n{_end(log)}"
            )
    finally:
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, log: TextIO) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 - our own command line
        [
            *tied(on_death=signal.SIGTERM),
            *(sys.executable, "-m", "roost", "up", "--json"),
            *("--port", str(_free_port()), "--data", str(folder)),
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ready(child: "subprocess.Popen[str]", log: TextIO) -> dict[str, Any]:
    ends = time.monotonic() + READY_S
    out = child.stdout
    while out is not None and time.monotonic() < ends:
        if not select.select([out], [], [], 0.5)[0]:
            if child.poll() is not None:
                break
            continue
        line = out.readline()
        if not line:
            break
        found = _object(line)
        if found.get("ready"):
            return found
    raise Unavailable(f"`roost up` did not become ready; try it by itself. The end of its log:\n{_end(log)}")


def _end(log: TextIO) -> str:
    log.flush()
    log.seek(0)
    return "".join(log.readlines()[-_LOG_LINES:])


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _stop(child: "subprocess.Popen[str]") -> int:
    """Stop it, and return its exit code."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
    return child.returncode
