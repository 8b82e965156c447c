"""What parts of files took goes back to the system, whatever smaller things were put between them."""

import subprocess
import sys

import pytest

from api.media.memory import give_back_large_blocks

MIB = 1024 * 1024
PARTS = 64

PROGRAM = f"""
import psutil
from api.media.memory import give_back_large_blocks
{{first}}
bytes({MIB})  # from the first one that is freed on, malloc keeps their like
parts, between = [], []
for _ in range({PARTS}):
    parts.append(b"x" * {MIB})
    between.append(b"y" * 100_000)
full = psutil.Process().memory_info().rss
del parts
print(full - psutil.Process().memory_info().rss)
"""


def given_back(first: str) -> int:
    """Return how many bytes less a process has once its parts are freed."""
    program = [sys.executable, "-c", PROGRAM.format(first=first)]
    return int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is glibc's")
def test_parts_are_given_back() -> None:
    assert given_back(f"{give_back_large_blocks.__name__}()") > 0.9 * PARTS * MIB
