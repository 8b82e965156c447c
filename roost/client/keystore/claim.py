"""A lock between processes: a locked file, which the kernel unlocks when its process ends."""

import fcntl
import os
from pathlib import Path


class Claim:
    """The lock of a file, held by a file beside it, which stays.

    On a network file system of Linux it holds between machines as well, as far as the server does locks.

    Args:
        path: What is claimed; need not be there.
    """

    def __init__(self, path: Path) -> None:
        place = path.resolve()
        self._path = place.with_name(place.name + ".lock")
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is held through this object."""
        return self._handle is not None

    def take(self) -> bool:
        """Take the lock; return False if another has it.

        Raises:
            OSError: The file cannot be made.
        """
        if self._handle is not None:
            return False
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def give_up(self) -> None:
        """Let another have it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def remove(self) -> None:
        """Give it up, and remove the file: what was claimed is gone."""
        self._path.unlink(missing_ok=True)
        self.give_up()
