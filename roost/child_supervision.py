"""Child processes that end with the process that started them, even if that is killed.

The words of `tied` before a command run this file as a program: it asks the kernel for a signal when its
parent dies, then becomes the command, which keeps its process id. A program instead of ``preexec_fn``: code
between fork and exec may deadlock in a process that has threads. The kernel ties a child to the *thread* that
started it.

With ``reap`` it runs the command instead, and when that or the parent ends, ends every process that came of
it, however far removed: the kernel hands every orphan among the descendants to this process. Ray's agents,
for example, outlive a killed Ray by a minute, in sessions of their own.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def tied(*settings: str, on_death: signal.Signals = signal.SIGKILL, reap: bool = False) -> tuple[str, ...]:
    """Return what to put before a command, so that its process does not outlive this one.

    Args:
        settings: Variables for its environment, each ``NAME=VALUE``.
        on_death: Signal that the command gets when this process dies.
        reap: End all of its descendants, too.
    """
    mode = "reap" if reap else str(int(on_death))
    return (sys.executable, "-I", "-S", __file__, mode, str(os.getpid()), *settings, "--")


def main(arguments: list[str]) -> int:
    """Run the command with all its descendants, or become it; return its exit status."""
    at = arguments.index("--")
    (mode, parent, *settings), command = arguments[:at], arguments[at + 1 :]
    if mode == "reap":
        return _reap(int(parent), settings, command)
    return _become(int(mode), int(parent), settings, command)


def _become(on_death: int, parent: int, settings: list[str], command: list[str]) -> NoReturn:
    _control(_PR_SET_PDEATHSIG, on_death)
    if os.getppid() != parent:
        # The parent died before the request above: no signal would ever come.
        sys.exit(f"the parent {parent} is gone, so {command[0]} is not started")
    for setting in settings:
        os.putenv(*setting.split("=", 1))
    os.execvp(command[0], command)  # noqa: S606 -- no shell is wanted


def _reap(parent: int, settings: list[str], command: list[str]) -> int:
    _control(_PR_SET_CHILD_SUBREAPER, 1)
    _control(_PR_SET_PDEATHSIG, signal.SIGTERM)
    child = os.spawnv(os.P_NOWAIT, sys.executable, [*tied(*settings), *command])  # noqa: S606 -- likewise

    def told(*_: object) -> None:
        _hold_back(signal.SIGTERM)  # calls of this in each other would end in an error
        _kill(child)

    signal.signal(signal.SIGTERM, told)
    if os.getppid() != parent:
        _kill(child)  # the parent died before the request above
    ended, status = os.wait()
    while ended != child:  # an orphan that ended by itself
        ended, status = os.wait()
    _hold_back(signal.SIGTERM)  # one more must not break off what follows
    _end_descendants()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _hold_back(number: signal.Signals) -> None:
    """Take no more of this signal. Ignored instead, one that had just arrived would print a traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])


def _kill(child: int) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself meanwhile
        os.kill(child, signal.SIGKILL)


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value)


def _end_descendants() -> None:
    """Kill our children until there are none: the children of each one become ours when it dies."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (pids := children.read_text().split()):
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
