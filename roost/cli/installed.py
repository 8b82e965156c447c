"""Verbs that a distribution brings, named by entry points: of ``roost``, or of a group of verbs."""

import argparse
from importlib.metadata import EntryPoint
from typing import Protocol

from roost.cli.terminal import DEPENDENCY_AWAY, complain


class Command(Protocol):
    """One verb.

    Attributes:
        help: One line for ``roost --help``.
    """

    help: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Run the verb and return the exit code.

        ``BadUsage``, ``RoostError`` and ``Unavailable`` may be raised: they become a message on stderr and
        an exit code.
        """
        ...


def add_installed(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", entry: EntryPoint) -> None:
    """Add the verb that an entry point names; one that cannot be imported says so when it is used."""
    try:
        found = entry.load()
    except (ImportError, AttributeError) as exc:
        verbs.add_parser(entry.name, help=f"cannot be loaded: {exc}").set_defaults(command=Broken(entry, exc))
        return
    add(verbs, entry.name, found() if isinstance(found, type) else found)


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: Command) -> None:
    """Add a verb."""
    parser = verbs.add_parser(name, help=command.help, description=command.help)
    command.add_arguments(parser)
    parser.set_defaults(command=command)


class Broken:
    """A verb whose distribution cannot be imported; it reports that when it is run."""

    help = "cannot be loaded"

    def __init__(self, entry: EntryPoint, reason: Exception) -> None:
        self._sentence = f"roost {entry.name} cannot be loaded from {entry.value}: {reason}"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare nothing."""

    def run(self, _args: argparse.Namespace) -> int:
        """Report why it cannot be loaded."""
        return complain(self._sentence, DEPENDENCY_AWAY)
