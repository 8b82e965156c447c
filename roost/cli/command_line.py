"""The command line: ``roost VERB``.

The client's verbs are defined here. A server's verbs are not, since this package imports no server: a
distribution names them as entry points of the group ``roost.commands``, each an object (or a class
without arguments) that implements `roost.cli.installed.Command`.

Exit codes: 0 done, 1 failed, 2 bad usage, 3 a dependency is unavailable.
"""

import argparse
import asyncio
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from types import FrameType
from typing import Final

from roost.cli import standard_streams
from roost.cli.arguments import add_ca, http_url
from roost.cli.installed import Broken, add, add_installed
from roost.cli.terminal import BAD_USAGE, DEPENDENCY_AWAY, DID_NOT_HOLD, BadUsage, complain
from roost.errors import RoostError, Unavailable
from roost.ids import fold_username
from roost.own_packages import prefer_own

_GROUP = "roost.commands"
_INTERRUPTS: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a verb as Ctrl-C does: of ``kill``, and of a terminal that was closed."""


class Demo:
    """``roost demo``."""

    help = "run one conversation of two people through all seven steps"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--server``, ``--fcm``, ``--ca`` and ``--json``."""
        parser.add_argument(
            "--server", metavar="URL", type=http_url, help="use this server instead of starting one"
        )
        parser.add_argument(
            "--fcm", metavar="URL", type=http_url, help="embedded push endpoint of that server"
        )
        add_ca(parser)
        parser.add_argument("--json", action="store_true", help="print only one JSON object on stdout")

    def run(self, args: argparse.Namespace) -> int:
        """Run the conversation."""
        from roost.cli.demo import run  # noqa: PLC0415 - what it needs is loaded only for this verb

        return run(args.server, args.fcm, ca=args.ca, as_json=args.json)


class Chat:
    """``roost chat``."""

    help = "chat in the terminal"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--server``, ``--as``, ``--to``, ``--ca``, ``--data`` and ``--lines``."""
        add = parser.add_argument
        add("--server", metavar="URL", type=http_url, default="http://127.0.0.1:8080", help="server address")
        add("--as", dest="user", metavar="NAME", type=_username, required=True, help="your username")
        add("--to", metavar="NAME", type=_username, help="first recipient")
        add_ca(parser)
        add("--data", metavar="DIR", help="folder for keys (default: ~/.local/share/roost)")
        add(
            "--lines",
            action="store_true",
            help="print lines instead of filling the terminal",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Chat until the end."""
        from roost.cli.chat import run  # noqa: PLC0415 - what it needs is loaded only for this verb

        return run(args.server, args.user, args.to, args.data, ca=args.ca, lines=args.lines)


def _username(text: str) -> str:
    try:
        return fold_username(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no username: {exc}") from exc


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    standard_streams.make_usable()
    prefer_own()
    try:
        with _interrupted_by_signals():
            code = _run(list(sys.argv[1:] if argv is None else argv))
    except Unavailable as exc:
        code = complain(exc.detail, DEPENDENCY_AWAY)
    except BadUsage as exc:
        code = complain(str(exc), BAD_USAGE)
    except RoostError as exc:
        code = complain(f"{exc.detail} ({exc.code.word})", DID_NOT_HOLD)
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = complain("Interrupted.", DID_NOT_HOLD)
    except BrokenPipeError:
        code = DID_NOT_HOLD  # who read the result is gone
    except OSError as exc:
        code = complain(f"The operating system refuses it: {exc}.", DID_NOT_HOLD)
    # Here, and not when Python ends: that would say so with an exit code of its own.
    written = standard_streams.write(sys.stdout, "")
    standard_streams.write(sys.stderr, "")
    return code if written else code or DID_NOT_HOLD


def _run(arguments: Sequence[str]) -> int:
    parser = _parser(arguments)
    args, unknown = parser.parse_known_args(arguments)
    if unknown and not isinstance(args.command, Broken):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    code: int = args.command.run(args)
    return code


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP interrupt the verb, so that whatever it started is ended in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # One that is ignored stays so: that is what `nohup` is for.
    before = {each: signal.getsignal(each) for each in _INTERRUPTS}
    taken = [each for each, handler in before.items() if handler is not signal.SIG_IGN]

    told = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if told:
            return  # the end in order is not interrupted in its turn
        told = True
        as_ctrl_c = signal.getsignal(signal.SIGINT)  # asyncio's own while a loop runs
        if not callable(as_ctrl_c):
            raise KeyboardInterrupt
        as_ctrl_c(number, frame)

    for each in taken:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, before[each])


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="roost", description="A one-to-one messaging backend that cannot read messages."
    )
    parser.add_argument("--version", action="version", version=f"roost {version('roost')}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    add(verbs, "demo", Demo())
    add(verbs, "chat", Chat())
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for entry in sorted(entry_points(group=_GROUP), key=lambda each: each.name):
        if wanted in (None, entry.name):
            add_installed(verbs, entry)
        else:
            verbs.add_parser(entry.name)
    return parser


if __name__ == "__main__":
    sys.exit(main())
