"""What the operator's verbs share: exit codes, sentences for people, and the way to the coordinator."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from cluster import runfile
from cluster.settings import Settings

DONE: Final = 0
DID_NOT_HOLD: Final = 1
BAD_USAGE: Final = 2
DEPENDENCY_AWAY: Final = 3


def say(sentence: str) -> None:
    """Tell people; stdout is for results."""
    sys.stderr.write(sentence + "\n")


def complain(sentence: str, code: int) -> int:
    """Tell people what is wrong, and return the exit code."""
    say(sentence)
    return code


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
