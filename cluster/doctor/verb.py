"""The verb ``doctor``."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cluster.doctor.finding import FAILED, OK, Finding
from cluster.settings import Settings, SettingsInvalid

_DONE: Final = 0
_DID_NOT_HOLD: Final = 1
_BAD_USAGE: Final = 2


class Doctor:
    """``roost doctor``."""

    help = "check addresses, TLS, credentials, ports, key ring and versions, and say what to do"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data``, ``--address``, ``--json`` and what else ``roost up`` would be given."""
        parser.add_argument("--data", metavar="DIR", help="data folder (./data)")
        parser.add_argument("--address", metavar="HOST:PORT", help="address of a Ray cluster")
        parser.add_argument("--port", type=int, help="HTTP port (8080)")
        for server in ("kafka", "mongo", "redis"):
            parser.add_argument(f"--{server}", metavar="URL", help=f"your own {server}")
        parser.add_argument("--json", action="store_true", help="print a list of {check, state, detail, fix}")

    def run(self, args: argparse.Namespace) -> int:
        """Examine and print."""
        from cluster.doctor.visit import examine  # noqa: PLC0415 -- loads every driver

        try:
            settings = Settings.load(_changes(args))
        except SettingsInvalid as exc:
            sys.stderr.write(f"{exc}\n")
            return _BAD_USAGE
        findings = asyncio.run(examine(settings, args.address))
        text = json.dumps(msgspec.to_builtins(findings)) if args.json else shown(findings)
        sys.stdout.write(text + "\n")
        return _DID_NOT_HOLD if any(each.state == FAILED for each in findings) else _DONE


def shown(findings: Sequence[Finding]) -> str:
    """Return one line for each check, the fix under each that is not ok, and what to do next."""
    width = max(len(each.check) for each in findings)
    lines = []
    for each in findings:
        lines.append(f"{each.state:<8} {each.check:<{width}}  {each.detail}")
        if each.fix:
            lines.append(f"{'':<8} {'':<{width}}  -> {each.fix}")
    bad = sum(each.state == FAILED for each in findings)
    odd = sum(each.state != OK for each in findings) - bad
    if bad:
        lines.append(f"{bad} failed, {odd} to look at: do what the arrows say, top down, and ask again.")
    elif odd:
        lines.append(f"Nothing failed; {odd} to look at. It can be started: roost up")
    else:
        lines.append("All is well. It can be started: roost up; or it runs: roost status")
    return "\n".join(lines)


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {} if args.data is None else {"data": args.data}
    if args.port is not None:
        changes["http"] = {"port": args.port}
    for server in ("kafka", "mongo", "redis"):
        if (url := getattr(args, server)) is not None:
            changes[server] = {"url": url}
    return changes


doctor = Doctor()
