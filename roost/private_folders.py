"""Folders in places where others may write, too: made for this user alone, or refused."""

import errno
import os
import stat
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make the folder and its parent, if need be.

    Raises:
        OSError: Another user made one of them, or may write there.
    """
    for each, forbidden in ((folder.parent, 0o022), (folder, 0o077)):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _mode_of_own(each) & forbidden:
            raise _refused(each)


def make_closed(folder: Path) -> None:
    """Make the folder, or close one of this user's: whatever modes are inside, no one else gets there.

    Raises:
        OSError: Another user made it, or it is no folder.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if _mode_of_own(folder) & 0o077:
        folder.chmod(0o700)


def _mode_of_own(folder: Path) -> int:
    found = folder.lstat()  # not where a link leads
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise _refused(folder)
    return found.st_mode


def _refused(folder: Path) -> PermissionError:
    return PermissionError(errno.EPERM, "It is not this user's alone; remove it", str(folder))
