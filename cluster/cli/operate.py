"""``scale``, ``drain``, ``undrain``, ``upgrade``: a request told to the coordinator, followed to its end."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from cluster.cli.running_store import operator_name
from cluster.cli.verbs import again, coordinator, find_by, found_by
from cluster.operations.node_placement import ROLES
from cluster.settings import SettingsInvalid
from roost.cli.terminal import BAD_USAGE, DID_NOT_HOLD, DONE, Waiting, complain, say
from roost.errors import Unavailable

_LOOK_EVERY_S: Final = 0.2
_RESTARTS_S: Final = 1.0
_LONGEST_S: Final = 300.0


class Scale:
    """``roost scale``."""

    help = "change the number of a role, or add shards, while the system runs"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``ROLE=N ...`` and ``shards=N``."""
        parser.add_argument(
            "counts",
            nargs="+",
            metavar="ROLE=N",
            help=f"a role ({', '.join(ROLES)}) and its number; or shards=N: twice, four times ... as many",
        )
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Request it, and wait until it is done."""
        counts: dict[str, int] = {}
        for each in args.counts:
            role, _, number = each.partition("=")
            if not number.isdecimal():
                return complain(f"{each!r} is not of the form ROLE=N, for example host=4.", BAD_USAGE)
            counts[role] = int(number)
        if "shards" in counts:
            if len(counts) > 1:
                return complain(
                    "Shards are added by a command of their own: first roost scale shards=N, then the roles.",
                    BAD_USAGE,
                )
            return _carry_out(args, {"act": "grow", "what": counts["shards"]})
        return _carry_out(args, {"act": "scale", "what": counts})


class Drain:
    """``roost drain``."""

    help = "move everything off a machine or a role, and prove that nothing is missing"
    _act, _target, _what = "drain", "NODE|HOST", "a machine (address or name) or a role (host-2)"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what it is done to, and how the system is found."""
        parser.add_argument("target", metavar=self._target, help=self._what)
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Request it, and wait until it is done."""
        return _carry_out(args, {"act": self._act, "what": args.target})


class Undrain(Drain):
    """``roost undrain``."""

    help = "allow roles on a drained machine again"
    _act, _target, _what = "undrain", "NODE", "a machine (address or name)"


class Upgrade:
    """``roost upgrade``."""

    help = "replace every process, one by one, so that all run the installed release"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare how the system is found."""
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Request it, and wait until it is done; the coordinator comes last."""
        request = {"act": "upgrade", "what": True}
        return _carry_out(args, request, afterwards=_coordinator_renewed)


async def _coordinator_renewed(handle: Any) -> str:
    """Restart the coordinator; returns a line for people."""
    from actors.ray_actor import RoleFailed  # noqa: PLC0415 -- Ray is joined, and loaded

    await handle.tell({"act": "restart"})
    waiting = Waiting(_LONGEST_S)
    await asyncio.sleep(_RESTARTS_S)
    while not waiting.over:
        try:
            status = await handle.status()
        except (Unavailable, RoleFailed):
            status = {"ready": False}
        if status["ready"]:
            releases = ", ".join(sorted({row["release"] for row in status["roles"] if row.get("release")}))
            return f"coordinator restarted after {waiting.took_s:.1f} s; all roles run release {releases}."
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Unavailable("The coordinator did not come back. See its log.")


def _carry_out(
    args: argparse.Namespace,
    request: dict[str, Any],
    afterwards: Callable[[Any], Coroutine[Any, Any, str]] | None = None,
) -> int:
    try:
        settings = found_by(args)
    except SettingsInvalid as exc:
        return complain(str(exc), BAD_USAGE)
    with coordinator(settings) as find_it:
        operation = asyncio.run(followed(find_it(), request, quiet=args.json))
        if afterwards is not None and operation.get("done") and not operation["failure"]:
            line = asyncio.run(afterwards(find_it()))
            operation["lines"].append(line)
            if not args.json:
                _print([line])
    if "refused" in operation:
        return complain(operation["refused"], BAD_USAGE)
    if args.json:
        sys.stdout.write(json.dumps({"lines": operation["lines"], "failure": operation["failure"]}) + "\n")
    if operation["failure"]:
        return complain(operation["failure"], DID_NOT_HOLD)
    if not args.json:
        sys.stdout.write(f"See it with: roost status{again(settings)}\n")
    return DONE


async def followed(handle: Any, request: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Print each step as it comes, unless quiet; return the operation once it is over, or was refused."""
    from actors.ray_actor import RoleFailed  # noqa: PLC0415 -- Ray is joined, and loaded

    begun: dict[str, Any] = await handle.tell(request | {"by": operator_name()})
    if "refused" in begun:
        return begun
    waiting = Waiting(_LONGEST_S)
    act, what = request["act"], request["what"]
    named = title(act, what)
    operation: dict[str, Any] = {"lines": [], "done": False, "failure": ""}
    while not waiting.over:
        await asyncio.sleep(_LOOK_EVERY_S)
        if not quiet:
            waiting.say(f"{named}: {operation.get('stage') or 'in progress'}")
        try:
            found = await handle.tell({"act": "operation", "number": begun["number"]})
        except (Unavailable, RoleFailed) as exc:
            say(f"The coordinator is not responding: {exc}")
            continue
        if "refused" in found:
            return operation | {"failure": found["refused"]}
        if not quiet:
            _print(found["lines"][len(operation["lines"]) :])
        operation = found
        if operation["done"]:
            return operation
    return operation | {"failure": f"It is not finished after {_LONGEST_S:g} s. See `roost status`."}


def title(act: str, what: Any) -> str:
    """Return a request as it was typed."""
    match act:
        case "scale":
            return f"scale {' '.join(f'{role}={count}' for role, count in what.items())}"
        case "grow":
            return f"scale shards={what}"
        case "upgrade":
            return act
    return f"{act} {what}"


def _print(lines: Sequence[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


scale = Scale()
upgrade = Upgrade()
drain = Drain()
undrain = Undrain()
