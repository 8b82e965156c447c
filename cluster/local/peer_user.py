"""The user at the other end of a loopback connection: the kernel's list of sockets names the owner of each.

A port on loopback is within reach of every user of the machine. A server that asks who connects needs no
secret, and who is let in need bring none.
"""

import os
import socket
from pathlib import Path
from typing import Final

_SOCKETS: Final = Path("/proc/net/tcp")
_ESTABLISHED: Final = "01"
_GONE: Final = "0"
"""Inode of a socket that its process has closed; the owner is not told any more."""

_ROOT: Final = 0

Address = tuple[str, int]


def can_be_told() -> bool:
    """Return whether this system tells the owners of sockets."""
    return _SOCKETS.exists()


def is_ours(peer: Address, here: Address) -> bool:
    """Return whether this user, or root, holds one end of a connection, seen from the other."""
    return owner(peer, here) in (os.getuid(), _ROOT)


def owner(peer: Address, here: Address) -> int | None:
    """Return the user id of who holds the end ``peer`` of a connection, None if no process here does."""
    ends = [_shown(peer), _shown(here)]
    with _SOCKETS.open() as sockets:
        for line in sockets:
            # Source: proc(5): number, local and remote address, state, queues, timer, retransmissions,
            # user, time-out, inode.
            words = line.split()
            if words[1:3] == ends and words[3] == _ESTABLISHED and words[9] != _GONE:
                return int(words[7])
    return None


def _shown(address: Address) -> str:
    host, port = address
    return f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
