"""The verb ``status``."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

from cluster.lifecycle import BAD_USAGE, DONE, _complain, _coordinator, _data
from cluster.settings import SettingsInvalid
from roost.errors import Unavailable

_FOLLOWED_S: Final = 2.0
"""How long one look of ``status --every`` waits for its answer."""


class Status:
    """``roost status``."""

    help = "all roles and servers of a running system"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data``, ``--address``, ``--json`` and ``--every``."""
        parser.add_argument("--data", metavar="DIR", help="data folder of a system on this machine (./data)")
        parser.add_argument("--address", metavar="HOST:PORT", help="address of a Ray cluster")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--every", type=float, metavar="S", help="print it again after so many seconds")

    def run(self, args: argparse.Namespace) -> int:
        """Ask the coordinator, once or until Ctrl-C."""
        try:
            data = _data(args)
        except SettingsInvalid as exc:
            return _complain(str(exc), BAD_USAGE)
        if args.every is not None:
            return asyncio.run(self._follow(data, args))
        self._print(asyncio.run(ask_coordinator(data, args.address)), args)
        return DONE

    async def _follow(self, data: Path, args: argparse.Namespace) -> int:
        """Print until nobody reads it; while the coordinator is away, a status without roles that says so."""
        with _coordinator(data, args.address) as find_it:
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


async def ask_coordinator(data: Path, address: str | None) -> dict[str, Any]:
    """Return the status of the system with this data folder, or of the Ray cluster at the address.

    Raises:
        Unavailable: It does not run, or does not answer.
    """
    with _coordinator(data, address) as find_it:
        return _shown(await find_it().status())


def _shown(status: dict[str, Any]) -> dict[str, Any]:
    return {key: status[key] for key in ("roles", "shards", "map_version")}


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
