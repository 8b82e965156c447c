"""The verb ``doctor``."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from cluster.cli.verbs import again, find_by
from cluster.doctor.finding import FAILED, OK, Finding
from cluster.settings import Settings, SettingsInvalid
from roost.cli.arguments import add_ca, http_url
from roost.cli.terminal import BAD_USAGE, DID_NOT_HOLD, DONE, complain


class Doctor:
    """``roost doctor``."""

    help = "check addresses, TLS, credentials, ports, key ring and versions, and say what to do"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data``, ``--address``, ``--web``, ``--json`` and what ``roost up`` would be given."""
        find_by(parser)
        parser.add_argument("--port", type=int, help="HTTP port (8080)")
        for server in ("kafka", "mongo", "redis"):
            parser.add_argument(f"--{server}", metavar="URL", help=f"your own {server}")
        parser.add_argument(
            "--web",
            metavar="URL",
            type=http_url,
            help="only compare the web client that this server serves with the installed one",
        )
        add_ca(parser)
        parser.add_argument("--json", action="store_true", help="print a list of {check, state, detail, fix}")

    def run(self, args: argparse.Namespace) -> int:
        """Examine and print."""
        if args.web is not None:
            from cluster.doctor import web_client  # noqa: PLC0415 -- loads what an examination does not need

            findings = asyncio.run(web_client.compare(args.web, args.ca, web_client.installed()))
            return self._told(findings, _differences(findings), as_json=args.json)
        from cluster.doctor.visit import examine  # noqa: PLC0415 -- loads every driver

        try:
            settings = Settings.load(_changes(args))
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        findings = asyncio.run(examine(settings))
        return self._told(findings, shown(findings, again(settings)), as_json=args.json)

    def _told(self, findings: Sequence[Finding], shown: str, *, as_json: bool) -> int:
        text = json.dumps(msgspec.to_builtins(findings)) if as_json else shown
        sys.stdout.write(text + "\n")
        return DID_NOT_HOLD if any(each.state == FAILED for each in findings) else DONE


def shown(findings: Sequence[Finding], found_by: str = "") -> str:
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
        lines.append(f"Nothing failed; {odd} to look at. It can be started: roost up{found_by}")
    else:
        lines.append(
            f"All is well. It can be started: roost up{found_by}; or it runs: roost status{found_by}"
        )
    return "\n".join(lines)


def _differences(findings: Sequence[Finding]) -> str:
    """Return one line for each file that is not as installed, or that all are."""
    lines = [f"{each.state:<8} {each.check}  {each.detail}" for each in findings]
    return "\n".join([*lines, *{f"-> {each.fix}" for each in findings if each.fix}])


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
