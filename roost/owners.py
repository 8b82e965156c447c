"""Whose a file is: what neither this user nor root has put there is not believed."""

import os
import pwd
from pathlib import Path


def stranger(path: Path) -> str | None:
    """Return the user whom the path, or what it leads to, belongs to; None if that is this user or root.

    Raises:
        OSError: It is not there, or cannot be looked at.
    """
    for found in (path.lstat(), path.stat()):
        if found.st_uid not in (0, os.geteuid()):
            return name_of(found.st_uid)
    return None


def name_of(uid: int) -> str:
    """Return the name of a user, or its number if it has none, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
