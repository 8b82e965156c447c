"""The verb ``admin audit``: the log of operators' acts, shown and verified."""

import argparse
import asyncio
import datetime as dt
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from cluster.cli.running_store import opened_store, settings_of
from cluster.cli.verbs import find_by
from cluster.settings import Settings
from roost.cli.terminal import DID_NOT_HOLD, DONE, complain, say

if TYPE_CHECKING:
    from storage.audit_chain import AuditEntry


class Audit:
    """``roost admin audit``."""

    help = "show who did what; with --verify check that nothing was changed or removed"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--verify``, ``--head``, how the system is found, and ``--json``."""
        parser.add_argument(
            "--verify", action="store_true", help="check the chain; exit code 1 if it is broken"
        )
        parser.add_argument(
            "--head", metavar="NUMBER:DIGEST", help="an entry noted earlier, which has to be there; verifies"
        )
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Read all of it, and print."""
        from storage.audit_chain import faults  # noqa: PLC0415 -- loads what `roost --help` does not need

        entries = asyncio.run(_read(settings_of(args)))
        verified = args.verify or args.head is not None
        found = faults(entries, args.head) if verified else []
        head = entries[-1].head if entries else ""
        if args.json:
            answer = {"entries": msgspec.to_builtins(entries), "head": head}
            sys.stdout.write(json.dumps(answer | ({"faults": found} if verified else {})) + "\n")
        else:
            sys.stdout.write(_lines(entries))
        if found:
            return complain("\n".join(found), DID_NOT_HOLD)
        if verified:
            say(f"The chain of {len(entries)} entries holds. Note its head elsewhere: {head or 'none'}")
        return DONE


async def _read(settings: Settings) -> "list[AuditEntry]":
    async with opened_store(settings) as store:
        return await store.audit.entries()


def _lines(entries: Sequence["AuditEntry"]) -> str:
    return "".join(
        f"{each.number:>6}  {dt.datetime.fromtimestamp(each.at_ms / 1000, dt.UTC):%Y-%m-%d %H:%M:%S}Z  "
        f"{each.actor}  {each.act}  {each.target}  {each.outcome}\n"
        for each in entries
    )


audit = Audit()
