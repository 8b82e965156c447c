"""The parts that all commands share: exit codes, messages on stderr, and waits that show progress."""

import sys
import time
from collections.abc import Sequence
from typing import Final

from roost.cli import standard_streams

DONE: Final = 0
DID_NOT_HOLD: Final = 1
BAD_USAGE: Final = 2
DEPENDENCY_AWAY: Final = 3

SAY_EVERY_S: Final = 2.0


class BadUsage(Exception):  # noqa: N818 -- named for what happened
    """The command cannot be carried out as it was given; the sentence says what to change."""


def say(sentence: str) -> None:
    """Write a line to stderr, as long as it can be read there; stdout is for results."""
    standard_streams.write(sys.stderr, sentence + "\n")


def complain(sentence: str, code: int) -> int:
    """Write what is wrong to stderr and return the exit code."""
    say(sentence)
    return code


def stopped(given_up: Sequence[str]) -> int:
    """Write how a stop went to stderr and return the exit code."""
    for sentence in given_up:
        say(sentence)
    say("stopped, with problems: see above" if given_up else "stopped")
    return DID_NOT_HOLD if given_up else DONE


class Waiting:
    """A wait that reports its progress every two seconds.

    Args:
        longest_s: When to give up.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._began = self._said = time.monotonic()

    @property
    def took_s(self) -> float:
        """How long it has lasted, in seconds."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        """Whether the longest time has passed."""
        return self.took_s > self._longest_s

    def say(self, sentence: str) -> None:
        """Write a line, unless the last one was less than two seconds ago."""
        if time.monotonic() - self._said > SAY_EVERY_S:
            self._said = time.monotonic()
            say(f"{sentence} ({self.took_s:.0f} s)")
