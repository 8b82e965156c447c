"""A terminal that is closed while a program of ours runs."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from roost.cli import standard_streams
from roost.cli.terminal import say

standard_streams.make_usable()
say("begun")
sys.stdin.readline()
for _ in range(3):
    say("no one reads this")
standard_streams.write(sys.stdout, "nor this")
print("nor that")
sys.exit(int(standard_streams.write(sys.stdout, "")) + 6)
"""


@pytest.mark.parametrize("terminal", ["open", "closed"])
def test_a_terminal_that_was_closed_fails_nothing(terminal: str) -> None:
    master, slave = os.openpty()
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=slave, stderr=slave
    )
    os.close(slave)
    try:
        assert os.read(master, 5) == b"begun"
        if terminal == "closed":
            os.close(master)
        running.communicate(b"\n", timeout=20)
        assert running.returncode == 7
    finally:
        if terminal == "open":
            os.close(master)
