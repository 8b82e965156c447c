"""What malloc gives back to the system, and what it keeps ready."""

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_MAPPED: Final = 512 * 1024
"""Bytes: less than a part of a file, and more than the 256 KiB that event loops make ready to read TLS."""

_KEPT: Final = 1024 * 1024
"""Bytes at the end of the heap that stay; with less, each read of TLS would take them and give them back."""


def settle_malloc() -> None:
    """Have large blocks go back to the system as soon as they are freed, and smaller ones stay.

    Neither is so with glibc by itself. Once a large block has been freed, it takes the next ones from the
    heaps of the threads, and what is freed there stays, wherever something small was put behind it. And as
    long as none was, each read of TLS is a mapping of its own, made, shortened and removed.

    Does nothing where malloc has no such settings, as on macOS and with musl.
    """
    if change := getattr(ctypes.CDLL(None), "mallopt", None):
        change(_M_MMAP_THRESHOLD, _MAPPED)
        change(_M_TRIM_THRESHOLD, _KEPT)
