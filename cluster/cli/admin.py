"""The verb ``admin``: accounts and their rights. Its verbs are entry points of the group ``roost.admin``."""

import argparse
from importlib.metadata import entry_points
from typing import Final

from roost.cli.installed import add_installed

_GROUP: Final = "roost.admin"


class Admin:
    """``roost admin``: an entry point names an object with the shape of `roost.cli.installed.Command`."""

    help = "accounts, their rights, and the log of who changed what"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(metavar="VERB", required=True)
        for entry in sorted(entry_points(group=_GROUP), key=lambda each: each.name):
            add_installed(verbs, entry)

    def run(self, _args: argparse.Namespace) -> int:
        """Never called: a verb is required, and its own command is run."""
        raise NotImplementedError


admin = Admin()
