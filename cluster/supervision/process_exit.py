"""The end of a process: the kernel tells of those on this machine at once, Ray of all a second later.

Ray's calls to a dead process fail as late, because it waits for the word of its head.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

import structlog

from actors.ray_actor import RoleHandle

_LOOK_EVERY_S: Final = 0.02

log = structlog.get_logger()


class ExitWatch:
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
        """Watch this process from now on, and no other.

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
        """Watch no process."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        self.stop()
        self._ended()


async def exit_known(handle: RoleHandle, pid: int | None, within_s: float) -> bool:
    """Wait until Ray's head knows that the process has ended; False if it does not in time.

    Args:
        handle: The role whose process it is.
        pid: Which; None: whichever there was.
        within_s: How long to wait.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not await asyncio.to_thread(handle.ended, pid):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True
