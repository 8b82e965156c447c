"""What parts of files took goes back to the system, and what a read of TLS takes does not."""

import subprocess
import sys

import pytest

MIB = 1024 * 1024
PARTS = 64
READS = 2_000

PARTED = f"""
import psutil
from roost.memory import settle_malloc
settle_malloc()
bytes({MIB})  # from the first one that is freed on, malloc keeps their like
parts, between = [], []
for _ in range({PARTS}):
    parts.append(b"x" * {MIB})
    between.append(b"y" * 100_000)
full = psutil.Process().memory_info().rss
del parts
print(full - psutil.Process().memory_info().rss)
"""

READING = f"""
import os, resource
from roost.memory import settle_malloc
settle_malloc()
source, sink = os.pipe()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({READS}):  # as event loops read TLS: room for 256 KiB, of which little is used
    os.write(sink, bytes(500))
    os.read(source, 256 * 1024)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def printed(program: str) -> int:
    """Return the number that a program says."""
    command = [sys.executable, "-c", program]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the settings are glibc's")
def test_parts_are_given_back() -> None:
    assert printed(PARTED) > 0.9 * PARTS * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="the settings are glibc's")
def test_room_for_a_read_is_not_new_each_time() -> None:
    assert printed(READING) < READS / 10
