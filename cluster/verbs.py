"""What the operator's verbs share: exit codes, sentences for people, and the way to the coordinator."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from cluster import runfile
from cluster.settings import Settings

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


def waiting_for(status: dict[str, Any], otherwise: str) -> str:
    """Return the roles that a coordinator's status says are not at work, or what else is waited for."""
    rows = [row for row in status.get("roles", ()) if row["state"] != "running" or row.get("detail")]
    return ", ".join(f"{row['name']} ({row.get('detail') or row['state']})" for row in rows) or otherwise


def find_by(parser: argparse.ArgumentParser) -> None:
    """Declare how a running system is found: ``--data`` and ``--address``."""
    parser.add_argument("--data", metavar="DIR", help="data folder of a system on this machine (./data)")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="Ray cluster that it runs on (`auto`: this machine's)"
    )


def found_by(args: argparse.Namespace) -> Settings:
    """Return the settings, with what ``--data`` and ``--address`` say.

    Raises:
        SettingsInvalid: The settings are wrong.
    """
    changes: dict[str, Any] = {}
    if args.data is not None:
        changes["data"] = args.data
    if args.address is not None:
        changes["cluster"] = {"address": args.address}
    return Settings.load(changes)


@contextmanager
def coordinator(settings: Settings) -> Iterator[Callable[[], Any]]:
    """Join the Ray cluster of the settings, or of their data folder; inside, a call finds the coordinator.

    Raises:
        Unavailable: Nothing runs with this data folder, or there is no such cluster.
    """
    from cluster.ray_head import COORDINATOR, prepare_ray  # noqa: PLC0415 -- loads what `down` does not need

    address = settings.cluster.address
    if address is None:
        address = runfile.found(settings.data).ray
        prepare_ray(settings.data)
    from actors.ray_actor import connect_ray, find, leave_ray  # noqa: PLC0415 -- after `prepare_ray`

    connect_ray(address)
    try:
        yield lambda: find(COORDINATOR, COORDINATOR)
    finally:
        leave_ray()
