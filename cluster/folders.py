"""Folders of this machine whose names follow from the data folder: Ray's sockets and those of metrics."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

_SHORT: Final = 20


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
