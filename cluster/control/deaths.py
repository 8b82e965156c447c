"""Sees the death of a process of this machine at once: the kernel says so, and nobody has to ask it.

Ray's calls to a dead process fail a second later only, because it waits for the word of its head.
"""

import asyncio
import os
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Deathwatch:
    """Watches one process.

    Args:
        ended: Called once, when the process ends.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._descriptor = -1

    @property
    def watching(self) -> bool:
        """Whether the end of a process would be seen."""
        return self._descriptor >= 0

    def watch(self, pid: int) -> None:
        """Watch this process from now on, and no other any more.

        Where it cannot be watched, its death is noticed later, by calls that fail.
        """
        self.stop()
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended()
            return
        except OSError as exc:
            log.warning("process_not_watched", pid=pid, reason=str(exc))
            return
        asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    def stop(self) -> None:
        """Watch nobody."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        self.stop()
        self._ended()
