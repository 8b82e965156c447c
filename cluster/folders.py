"""The data folder's owner, and the folders whose names follow from it: sockets of Ray and of metrics."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from roost.owners import name_of, stranger

_SHORT: Final = 20


def of_another(data: Path) -> tuple[str, str] | None:
    """Return that the data folder is another user's, and what to do; None if it is not, or not there.

    Its files say which process to stop, and where Ray is, which runs code here. And what this user writes
    there, such as a key ring, its owner could not read.
    """
    try:
        owner = (stranger(data) or _closed_by(data)) if data.exists() else None
    except OSError:  # its name is too long, say: who writes there is told
        return None
    if owner is None:
        return None
    return (
        f"The data folder {data} belongs to the user {owner}.",
        "Run this as that user, or choose another folder with --data or ROOST_DATA.",
    )


def _closed_by(data: Path) -> str | None:
    """Return the owner of a folder that this user may not look into, of root's for example."""
    uid = data.stat().st_uid
    return None if uid == os.geteuid() or os.access(data, os.X_OK, effective_ids=True) else name_of(uid)


def short_temp(data: Path) -> Path:
    """Return a folder for Ray's sockets, whose paths may have 107 bytes at most."""
    base = tempfile.gettempdir()
    name = hashlib.blake2b(str(data).encode(), digest_size=4).hexdigest()
    return Path(base if len(base) <= _SHORT else "/tmp") / f"roost-{os.getuid()}" / name  # noqa: S108


def runtime_folder(data: Path) -> Path:
    """Return the folder for the sockets of one node's roles: of one user, data folder and network.

    A port belongs to a network namespace: nodes that share a file system but not the network are two.
    """
    temp = short_temp(data)
    network = Path("/proc/self/ns/net")
    number = network.stat().st_ino if network.exists() else 0
    return temp.with_name(f"{temp.name}-metrics-{number:x}")
