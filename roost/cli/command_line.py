"""The command line: ``roost VERB``.

The client's verbs are defined here. A server's verbs are not, since this package imports no server: a
distribution names them as entry points of the group ``roost.commands``, each an object (or a class
without arguments) that implements ``Command``.

Exit codes: 0 done, 1 failed, 2 bad usage, 3 a dependency is unavailable.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from roost.cli.terminal import DEPENDENCY_AWAY, DID_NOT_HOLD, complain
from roost.errors import RoostError, Unavailable

_GROUP = "roost.commands"


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

        ``RoostError`` and ``Unavailable`` may be raised: they become a message on stderr and an exit code.
        """
        ...


class Demo:
    """``roost demo``."""

    help = "run one conversation of two people through all seven steps"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--server``, ``--fcm`` and ``--json``."""
        parser.add_argument("--server", metavar="URL", help="use this server instead of starting one")
        parser.add_argument("--fcm", metavar="URL", help="embedded push endpoint of that server")
        parser.add_argument("--json", action="store_true", help="print only one JSON object on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Run the conversation."""
        from roost.cli.demo import run  # noqa: PLC0415 - what it needs is loaded only for this verb

        return run(args.server, args.fcm, as_json=args.json)


class Chat:
    """``roost chat``."""

    help = "chat in the terminal"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--server``, ``--as``, ``--to`` and ``--data``."""
        parser.add_argument("--server", metavar="URL", default="http://127.0.0.1:8080", help="server address")
        parser.add_argument("--as", dest="user", metavar="NAME", required=True, help="your username")
        parser.add_argument("--to", metavar="NAME", help="first recipient")
        parser.add_argument("--data", metavar="DIR", help="folder for keys (default: ~/.local/share/roost)")

    def run(self, args: argparse.Namespace) -> int:
        """Chat until the end of input."""
        from roost.cli.chat import run  # noqa: PLC0415 - what it needs is loaded only for this verb

        return run(args.server, args.user, args.to, args.data)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = _parser(arguments)
        args, unknown = parser.parse_known_args(arguments)
        if unknown and not isinstance(args.command, _Broken):
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        code: int = args.command.run(args)
    except Unavailable as exc:
        return complain(exc.detail, DEPENDENCY_AWAY)
    except RoostError as exc:
        return complain(f"{exc.detail} ({exc.code.word})", DID_NOT_HOLD)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return complain("Interrupted.", DID_NOT_HOLD)
    return code


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="roost", description="A one-to-one messaging backend that cannot read messages."
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add(verbs, "demo", Demo())
    _add(verbs, "chat", Chat())
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for entry in sorted(entry_points(group=_GROUP), key=lambda each: each.name):
        if wanted in (None, entry.name):
            _add_installed(verbs, entry)
        else:
            verbs.add_parser(entry.name)
    return parser


def _add_installed(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", entry: EntryPoint) -> None:
    try:
        found = entry.load()
    except (ImportError, AttributeError) as exc:
        verbs.add_parser(entry.name, help=f"cannot be loaded: {exc}").set_defaults(
            command=_Broken(entry, exc)
        )
        return
    _add(verbs, entry.name, found() if isinstance(found, type) else found)


def _add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: Command) -> None:
    parser = verbs.add_parser(name, help=command.help, description=command.help)
    command.add_arguments(parser)
    parser.set_defaults(command=command)


class _Broken:
    """A verb whose distribution cannot be imported; it reports that when it is run."""

    help = "cannot be loaded"

    def __init__(self, entry: EntryPoint, reason: Exception) -> None:
        self._sentence = f"roost {entry.name} cannot be loaded from {entry.value}: {reason}"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare nothing."""

    def run(self, _args: argparse.Namespace) -> int:
        """Report why it cannot be loaded."""
        return complain(self._sentence, DEPENDENCY_AWAY)


if __name__ == "__main__":
    sys.exit(main())
