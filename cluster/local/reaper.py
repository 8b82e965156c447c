"""Runs a command and, when it or the parent ends, ends every process that came of it, however far removed.

Run as ``python -I -S reaper.py PARENT_PID -- COMMAND ...``. Ray's agents outlive a killed Ray by a minute, in
sessions of their own; here the kernel hands every orphan among the descendants to this process.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the command, end what is left of it, and return its exit status."""
    at = arguments.index("--")
    parent, command = int(arguments[0]), arguments[at + 1 :]
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(_PR_SET_CHILD_SUBREAPER, 1)
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    tether = str(Path(__file__).with_name("tether.py"))
    child = subprocess.Popen([sys.executable, "-I", "-S", tether, str(os.getpid()), "--", *command])  # noqa: S603
    signal.signal(signal.SIGTERM, lambda *_: child.kill())
    if os.getppid() != parent:
        child.kill()  # the parent died before the request above: no signal would ever come
    ended, status = os.wait()
    while ended != child.pid:  # an orphan that ended by itself
        ended, status = os.wait()
    child.returncode = os.waitstatus_to_exitcode(status)
    _end_descendants()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end_descendants() -> None:
    """Kill our children until there are none: the children of each one become ours when it dies."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (pids := children.read_text().split()):
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
