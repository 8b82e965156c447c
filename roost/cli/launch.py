"""The launcher of ``roost up``: a child process, its ready line, its stop.

Everything that runs a system of its own goes through here: the demo, the simulation, the benchmarks and the
tests. It is synchronous. From an event loop, call what waits in a thread, but `RoostUp.launch` in the loop's
own: the kernel ties a child to the thread that started it.
"""

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from roost import own_packages
from roost.child_supervision import tied
from roost.errors import RoostError, Unavailable

READY_S: Final = 120.0
"""How long a start may take."""

STOP_S: Final = 480.0
"""It ends sooner by itself, even if a server hangs; then it says what was not stored."""

_LOG_BYTES: Final = 3_000
_LOOK_S: Final = 0.2


class StoppedBadly(RoostError):  # noqa: N818 -- named for what happened
    """The system did not stop as it should: something it had accepted is not stored, for example."""


class RoostUp:
    """``roost up --json`` with a data folder; after a stop it can be launched again.

    Args:
        data: Its data folder.
        log: The file that its stderr is appended to.
        options: Further options.
        env: Variables for it, beside those of this process.
        program: The command line's program.
        on_death: Signal that it gets when this process dies; by default it stops in order then.

    Attributes:
        ready: Its ready line.
        further: What it printed after that; known once it has ended.
    """

    def __init__(
        self,
        data: Path,
        log: Path,
        *,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = own_packages.program("roost"),
        on_death: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.data, self.log = data, log
        self.options, self.env = options, dict(env or {})
        self.ready: dict[str, Any] = {}
        self.further = ""
        self._program, self._on_death = program, on_death
        self._rest = b""
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.poll() is None

    @property
    def child(self) -> "subprocess.Popen[bytes]":
        """The process.

        Raises:
            RuntimeError: It was not launched, or has ended.
        """
        if self._child is None:
            raise RuntimeError("`roost up` is not running.")
        return self._child

    def start(self) -> Self:
        """Launch it, and return when it is ready."""
        self.launch()
        self.until_ready()
        return self

    def launch(self) -> None:
        """Start the process, without waiting."""
        settings = [f"{name}={value}" for name, value in self.env.items()]
        self._rest = b""
        port = () if "--port" in self.options else ("--port", "0")
        up = (*self._program, "up", "--json", *port, "--data", str(self.data), *self.options)
        with self.log.open("a") as log:
            self._child = subprocess.Popen(  # noqa: S603 -- our own command line
                [*tied(*settings, on_death=self._on_death), *up],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.log.parent,
                start_new_session=True,  # Ctrl-C is for us; the system is stopped in order
            )

    def until_ready(self) -> dict[str, Any]:
        """Wait for its ready line, and return that.

        Raises:
            Unavailable: It ended, or was not ready in time; the end of its log is in the sentence.
        """
        ends, said = time.monotonic() + READY_S, b""
        out = self.child.stdout
        while out is not None and time.monotonic() < ends:
            if not select.select([out], [], [], _LOOK_S)[0]:
                continue
            came = os.read(out.fileno(), _LOG_BYTES)
            if not came:
                break
            # Not `readline`: a second line that came along would wait in its buffer, unseen by `select`.
            *lines, said = (said + came).split(b"\n")
            for place, line in enumerate(lines):
                found = _object(line)
                if found.get("ready"):
                    self.ready, self._rest = found, b"\n".join([*lines[place + 1 :], said])
                    return found
        raise Unavailable(f"`roost up` did not become ready. The end of its log:\n{self.tail()}")

    def wait(self, within: float = STOP_S) -> int:
        """Return its exit status once it has ended.

        Raises:
            subprocess.TimeoutExpired: It has not ended in time.
        """
        child = self.child
        status = child.wait(within)
        if child.stdout is not None:
            self.further += (self._rest + child.stdout.read()).decode()
            child.stdout.close()
        self._child = None
        return status

    def stop(self) -> int:
        """Stop it in order, and return its exit status; it is killed if that takes too long."""
        if self._child is None:
            return 0
        self._child.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self.wait()

    def stop_in_order(self) -> None:
        """Stop it.

        Raises:
            StoppedBadly: It did not stop as it should; the end of its log is in the sentence.
        """
        if self.stop():
            raise StoppedBadly(
                "internal", f"`roost up` did not stop in order. The end of its log:\n{self.tail()}"
            )

    def tail(self) -> str:
        """Return the end of its log."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _LOG_BYTES))
            return log.read().decode(errors="replace")


@contextmanager
def own_server() -> Iterator[dict[str, Any]]:
    """Run ``roost up`` with a temporary data folder; yield its ready line.

    Raises:
        Unavailable: It did not become ready.
        StoppedBadly: It did not stop as it should.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"roost-{secrets.token_hex(2)}-"))
    up = RoostUp(folder, folder / "up.log")
    try:
        try:
            yield up.start().ready
        except BaseException:
            up.stop()
            raise
        up.stop_in_order()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
