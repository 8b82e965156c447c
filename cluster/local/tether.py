"""Ties a child process to its parent: when the parent dies, even by ``kill -9``, so does the child.

Run as ``python -I -S tether.py PARENT_PID [NAME=VALUE ...] -- COMMAND ...``. It asks the kernel for
the signal and then becomes the command, so the command keeps this process id. A wrapper instead of
``preexec_fn``: code between fork and exec may deadlock in a process that has threads, as Ray's have.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Set the death signal and become the command."""
    at = arguments.index("--")
    parent, settings, command = int(arguments[0]), arguments[1:at], arguments[at + 1 :]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the request above: no signal would ever come.
        sys.exit(f"the parent {parent} is gone, so {command[0]} is not started")
    for setting in settings:
        os.putenv(*setting.split("=", 1))
    os.execvp(command[0], command)  # noqa: S606 -- no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
