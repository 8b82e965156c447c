"""The verb ``status``."""

import argparse
import asyncio
import json
import sys
from typing import Any, Final

from cluster.settings import Settings, SettingsInvalid
from cluster.verbs import BAD_USAGE, DONE, complain, coordinator, find_by, found_by
from roost.errors import Unavailable

_FOLLOWED_S: Final = 2.0
"""How long one look of ``status --every`` waits for its answer."""


class Status:
    """``roost status``."""

    help = "all roles and servers of a running system"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data``, ``--address``, ``--json`` and ``--every``."""
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--every", type=float, metavar="S", help="print it again after so many seconds")

    def run(self, args: argparse.Namespace) -> int:
        """Ask the coordinator, once or until Ctrl-C."""
        try:
            settings = found_by(args)
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        if args.every is not None:
            return asyncio.run(self._follow(settings, args))
        self._print(asyncio.run(ask_coordinator(settings)), args)
        return DONE

    async def _follow(self, settings: Settings, args: argparse.Namespace) -> int:
        """Print until nobody reads it; while the coordinator is away, a status without roles that says so."""
        with coordinator(settings) as find_it:
            while True:
                try:
                    async with asyncio.timeout(_FOLLOWED_S):
                        status = _shown(await find_it().status())
                except (Unavailable, TimeoutError) as exc:
                    status = {"roles": [], "shards": 0, "map_version": 0, "detail": str(exc) or "no answer"}
                try:
                    self._print(status, args)
                except BrokenPipeError:
                    return DONE
                await asyncio.sleep(args.every)

    def _print(self, status: dict[str, Any], args: argparse.Namespace) -> None:
        sys.stdout.write((json.dumps(status) if args.json else _table(status)) + "\n")
        sys.stdout.flush()


async def ask_coordinator(settings: Settings) -> dict[str, Any]:
    """Return the status of the system that the settings name by its data folder or its Ray cluster.

    Raises:
        Unavailable: It does not run, or does not answer.
    """
    with coordinator(settings) as find_it:
        return _shown(await find_it().status())


def _shown(status: dict[str, Any]) -> dict[str, Any]:
    return {key: status[key] for key in ("roles", "shards", "map_version", "nodes")}


def _table(status: dict[str, Any]) -> str:
    lines = [f"{'name':<16}{'pid':>8}  {'state':<12}{'shards':>7}{'users':>8}{'lag':>8}  detail"]
    for row in status["roles"]:
        cells = "".join(
            f"{row.get(key, ''):>{width}}" for key, width in (("shards", 7), ("users", 8), ("lag", 8))
        )
        detail = row.get("detail") or row.get("address") or ""
        lines.append(f"{row['name']:<16}{row['pid'] or '-':>8}  {row['state']:<12}{cells}  {detail}")
    lines.append(f"{status['shards']} shards, map {status['map_version']}")
    return "\n".join(lines)


status = Status()
