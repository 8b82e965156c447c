"""The data folder on a small file system of its own, so that it can be full without harm to others.

A tmpfs: it takes memory only for what is in it, and it is made full by making it smaller, to just what is
in it, instead of filling it.
"""

import asyncio
import os
from pathlib import Path
from typing import Final, Self

ROOM: Final = 2 * 1024**3
"""Bytes that fit while it is not full."""

_TRIES: Final = 20


class NoDisk(Exception):  # noqa: N818 -- named for what happened
    """There can be no such file system here; the sentence says why."""


class Disk:
    """A mounted file system.

    Attributes:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    async def mount(cls, folder: Path) -> Self:
        """Mount one on this folder, which is made if need be.

        Raises:
            NoDisk: It cannot be mounted: that takes root and Linux.
        """
        if await asyncio.to_thread(_has_files, folder):
            raise NoDisk(f"{folder} is not empty.")
        await _run("mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "roost-sim", str(folder))
        return cls(folder)

    async def fill(self) -> None:
        """Leave no free byte.

        Raises:
            NoDisk: Others wrote faster than it could be made smaller.
        """
        for _ in range(_TRIES):
            found = os.statvfs(self.folder)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            try:
                await self._resize(used)
            except NoDisk as exc:
                failure = exc  # something was written in between, and no longer fits
            else:
                return
        raise failure

    async def free(self) -> None:
        """Give the room back."""
        await self._resize(ROOM)

    async def unmount(self) -> None:
        """Give it up, with all that is in it."""
        await _run("umount", "--lazy", str(self.folder))

    async def _resize(self, size: int) -> None:
        await _run("mount", "-o", f"remount,size={size}", str(self.folder))


def _has_files(folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    return any(folder.iterdir())


async def _run(*command: str) -> None:
    try:
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as exc:
        raise NoDisk(f"There is no command {command[0]!r}.") from exc
    _, complaint = await child.communicate()
    if child.returncode:
        raise NoDisk(f"`{' '.join(command)}` failed: {complaint.decode(errors='replace').strip()}")
