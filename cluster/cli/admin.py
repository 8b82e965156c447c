"""The group ``roost admin``: verbs about accounts, for the operator."""

import argparse

from cluster.cli import admin_rights


class Admin:
    """``roost admin``."""

    help = "accounts: export and erase"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verbs."""
        verbs = parser.add_subparsers(metavar="ACT", required=True)
        for name, verb in admin_rights.VERBS.items():
            of_verb = verbs.add_parser(name, help=verb.help, description=verb.help)
            verb.add_arguments(of_verb)
            of_verb.set_defaults(act=verb)

    def run(self, args: argparse.Namespace) -> int:
        """Run the one that was named."""
        code: int = args.act.run(args)
        return code


admin = Admin()
