"""What all commands share: exit codes, sentences for people, and waits that people hear of."""

import sys
import time
from collections.abc import Sequence
from typing import Final

DONE: Final = 0
DID_NOT_HOLD: Final = 1
BAD_USAGE: Final = 2
DEPENDENCY_AWAY: Final = 3

SAY_EVERY_S: Final = 2.0


def say(sentence: str) -> None:
    """Tell people; stdout is for results."""
    sys.stderr.write(sentence + "\n")


def complain(sentence: str, code: int) -> int:
    """Tell people what is wrong, and return the exit code."""
    say(sentence)
    return code


def stopped(given_up: Sequence[str]) -> int:
    """Tell people how a stop went, and return the exit code."""
    for sentence in given_up:
        say(sentence)
    say("stopped, but not all is well: see above" if given_up else "stopped")
    return DID_NOT_HOLD if given_up else DONE


class Waiting:
    """A wait that people are told of every two seconds.

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
        """Whether it is time to give up."""
        return self.took_s > self._longest_s

    def say(self, sentence: str) -> None:
        """Tell people, if they have heard nothing for a while."""
        if time.monotonic() - self._said > SAY_EVERY_S:
            self._said = time.monotonic()
            say(f"{sentence} ({self.took_s:.0f} s)")
