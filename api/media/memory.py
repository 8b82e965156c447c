"""The memory that parts of files pass through, and how it is given back."""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_MAPPED: Final = 512 * 1024
"""Bytes: less than a part of a file, and more than what a loop has ready for each read of a socket."""


def give_back_large_blocks() -> None:
    """Have the memory of each large block go back to the system as soon as the block is freed.

    By itself, glibc only begins that way. Once a part of a file has been freed, it takes the next ones from
    the heaps of the threads that seal and send them, and what is freed there stays, wherever something small
    was put behind it. Does nothing where malloc has no such setting, as on macOS and with musl.
    """
    if change := getattr(ctypes.CDLL(None), "mallopt", None):
        change(_M_MMAP_THRESHOLD, _MAPPED)
