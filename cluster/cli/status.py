"""The verb ``status``."""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.cli.verbs import coordinator, find_by, found_by
from cluster.settings import Settings, SettingsInvalid
from cluster.supervision.membership import RUNNING
from roost.cli.terminal import BAD_USAGE, DONE, complain
from roost.errors import Unavailable

_FOLLOWED_S: Final = 2.0
"""How long one look of ``status --every`` waits for its answer."""

_WIDE: Final = 200
"""Characters of a line where no terminal says how many it has."""


class Status:
    """``roost status``."""

    help = "show the roles and servers of a running system"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data``, ``--address``, ``--json`` and ``--every``."""
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--every", type=float, metavar="S", help="refresh every S seconds")

    def run(self, args: argparse.Namespace) -> int:
        """Ask the coordinator, once or until Ctrl-C."""
        try:
            settings = found_by(args)
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        if args.every is not None and args.every <= 0:
            return complain("--every takes a positive number of seconds.", BAD_USAGE)
        with View(Console(file=sys.stdout), as_json=args.json, live=args.every is not None) as view:
            if args.every is None:
                view.show(asyncio.run(ask_coordinator(settings)))
                return DONE
            with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # how people end it
                asyncio.run(self._follow(settings, view, args.every))
        return DONE

    async def _follow(self, settings: Settings, view: "View", every_s: float) -> None:
        """Show it again and again; while the coordinator is away, a status without roles that says so."""
        with coordinator(settings) as find_it:
            while True:
                try:
                    async with asyncio.timeout(_FOLLOWED_S):
                        status = await ask(find_it)
                except (Unavailable, TimeoutError) as exc:
                    status = _nothing(str(exc) or "no answer")
                view.show(status)
                await asyncio.sleep(every_s)


class View:
    """Shows one status after the other: lines of JSON, or a table, on a terminal always at the same place.

    Args:
        console: Where to.
        as_json: Whether machines read it.
        live: Whether more than one will come.
    """

    def __init__(self, console: Console, *, as_json: bool = False, live: bool = False) -> None:
        self._console, self._as_json = console, as_json
        if not console.is_terminal:
            console.width = _WIDE
        redraw = live and not as_json and console.is_terminal
        self._live = Live(console=console, auto_refresh=False) if redraw else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, status: dict[str, Any]) -> None:
        """Show the newest status."""
        if self._as_json:
            self._console.file.write(json.dumps(status) + "\n")
            self._console.file.flush()
        elif self._live is not None:
            self._live.update(picture(status), refresh=True)
        else:
            self._console.print(picture(status))


async def ask_coordinator(settings: Settings) -> dict[str, Any]:
    """Return the status of the system that the settings name by its data folder or its Ray cluster.

    Raises:
        Unavailable: It does not run, or does not answer.
    """
    with coordinator(settings) as find_it:
        return await ask(find_it)


async def ask(find_it: Callable[[], Any]) -> dict[str, Any]:
    """Return the status from inside the Ray cluster; raises as `ask_coordinator` does."""
    return _shown(await find_it().status())


def _shown(status: dict[str, Any]) -> dict[str, Any]:
    return {key: status[key] for key in ("roles", "shards", "map_version", "nodes")}


def _nothing(detail: str) -> dict[str, Any]:
    return {"roles": [], "shards": 0, "map_version": 0, "nodes": [], "detail": detail}


def picture(status: dict[str, Any]) -> RenderableType:
    """Return the status for people: roles, machines if there are several, and one line for the whole."""
    if "detail" in status:
        return Text(f"The coordinator is not responding: {status['detail']}", style="red")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("name", "node"):
        table.add_column(name, no_wrap=True)
    table.add_column("pid", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in ("shards", "users", "lag"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for row in status["roles"]:
        table.add_row(*_cells(row))
    machines = [_machine(node) for node in status["nodes"]] if len(status["nodes"]) > 1 else []
    whole = Text(f"{status['shards']} shards, map {status['map_version']}", style="dim")
    return Group(table, *machines, whole)


def _cells(row: dict[str, Any]) -> list[Text]:
    figures = [Text(str(row.get(name, ""))) for name in ("shards", "users", "lag")]
    return [
        Text(row["name"]),
        Text(row.get("node") or "-"),
        Text(str(row["pid"] or "-")),
        Text(row["state"], style="green" if row["state"] == RUNNING else "bold red"),
        *figures,
        Text(str(row.get("detail") or row.get("address") or "")),
    ]


def _machine(node: dict[str, Any]) -> Text:
    drained = ", drained" if node["drained"] else ""
    return Text(
        f"{node['node']} ({node['hostname']}): {node['roles']} roles, {node['cpus']:g} processors{drained}"
    )


status = Status()
