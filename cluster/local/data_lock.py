"""The lock of a data folder: one system at a time, from before anything starts until everything has ended.

Every child that works in the folder keeps the descriptor open, and with it the lock. So when `roost up` is
killed and started again at once, the new one waits for the last server of the old one to be gone, whose files
it is about to open.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

_SAME_START_S: Final = 1.0
_ENDED_WITHIN_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.05


class FolderInUse(Exception):  # noqa: N818 -- named for what happened
    """Another system uses the data folder; the sentence says which."""


@contextmanager
def locked(data: Path, within_s: float = _ENDED_WITHIN_S) -> Iterator[int]:
    """Hold the lock inside the block.

    Args:
        data: The data folder.
        within_s: How long what is left of a killed system may take to end.

    Yields:
        The descriptor to hand to every child that works in the folder.

    Raises:
        FolderInUse: A system runs or starts there, or what is left of one does not end.
    """
    descriptor = os.open(_path(data), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(data, descriptor, within_s)
        own = f"{os.getpid()} {psutil.Process().create_time()}\n".encode()
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, own, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def holder(data: Path) -> psutil.Process | None:
    """Return the ``roost up`` that has the lock; None if none has, or what is left of a killed one."""
    try:
        pid, started = _path(data).read_text().split()
        process = psutil.Process(int(pid))
        return process if abs(process.create_time() - float(started)) < _SAME_START_S else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def _take(data: Path, descriptor: int, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return
        if (running := holder(data)) is not None:
            raise FolderInUse(
                f"Roost is already running: process {running.pid} uses the data folder {data}. "
                f"Stop it with: roost down --data {data}"
            )
        if time.monotonic() > deadline:
            raise FolderInUse(
                f"Processes of a system that was killed still use the data folder {data}, and do not end. "
                f"End them first: fuser {_path(data)}"
            )
        time.sleep(_LOOK_EVERY_S)


def _path(data: Path) -> Path:
    return data / "lock"
