"""Everything that goes over a loopback device of our own, read from a raw socket (Linux, root)."""

import ctypes
import os
import socket
import struct
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

_IPV4: Final = 0x0800
_TCP: Final = 6
_BUFFER: Final = 64 << 20

# Of Linux's headers, and not in Python's modules:
_CLONE_NEWNET: Final = 0x40000000
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6

_LOOK_S: Final = 0.2


@contextmanager
def own_network() -> Iterator[None]:
    """Let this thread, and what it starts, have a loopback device and no other network inside the block."""
    kernel = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        _check(kernel.unshare(_CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            _check(kernel.setns(before.fileno(), _CLONE_NEWNET))


def _check(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Capture:
    """Bytes of TCP connections over loopback, by sender's and receiver's port.

    A word that is split over two packets is found all the same: the bytes of a direction are put together.

    Attributes:
        bytes: What each direction of a connection carried, by its two ports.
    """

    def __init__(self) -> None:
        self.bytes: dict[tuple[int, int], bytearray] = defaultdict(bytearray)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_IPV4))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.bind(("lo", _IPV4))
        self._socket.settimeout(_LOOK_S)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="capture")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def dropped(self) -> int:
        """Return how many packets the kernel could not keep for us."""
        counters = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("II", counters)[1])

    def found(self, words: Iterable[bytes], ports: Iterable[int]) -> list[tuple[bytes, tuple[int, int]]]:
        """Return each word that went to or from one of these ports, with both ports."""
        wanted = set(ports)
        ours = {pair: carried for pair, carried in self.bytes.items() if wanted & set(pair)}
        return [(word, pair) for word in words for pair, carried in ours.items() if word in carried]

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                packet = self._socket.recv(1 << 17)  # as it comes in: each comes once
            except TimeoutError:
                continue
            if packet[9] == _TCP:
                self._take(packet)

    def _take(self, packet: bytes) -> None:
        head = (packet[0] & 15) * 4
        length = int.from_bytes(packet[2:4], "big") or len(packet)  # 0: larger than the field holds
        source, to = struct.unpack_from(">HH", packet, head)
        payload = packet[head + (packet[head + 12] >> 4) * 4 : length]
        if payload:
            self.bytes[source, to] += payload
