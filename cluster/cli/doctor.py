"""The verb ``doctor``."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from cluster.cli.verbs import find_by
from cluster.doctor.finding import FAILED, OK, Finding
from cluster.settings import Settings, SettingsInvalid
from roost.cli.terminal import BAD_USAGE, DID_NOT_HOLD, DONE, complain


class Doctor:
    """``roost doctor``."""

    help = "check addresses, TLS, credentials, ports, key ring and versions, and say what to do"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data``, ``--address``, ``--json`` and what else ``roost up`` would be given."""
        find_by(parser)
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
            return complain(str(exc), BAD_USAGE)
        findings = asyncio.run(examine(settings))
        text = json.dumps(msgspec.to_builtins(findings)) if args.json else shown(findings)
        sys.stdout.write(text + "\n")
        return DID_NOT_HOLD if any(each.state == FAILED for each in findings) else DONE


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
    if args.address is not None:
        changes["cluster"] = {"address": args.address}
    if args.port is not None:
        changes["http"] = {"port": args.port}
    for server in ("kafka", "mongo", "redis"):
        if (url := getattr(args, server)) is not None:
            changes[server] = {"url": url}
    return changes


doctor = Doctor()
