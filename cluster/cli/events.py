"""The verb ``events``: the line of events of a running system."""

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from cluster.cli.running_store import opened_store, settings_of
from cluster.cli.verbs import find_by
from roost.cli.terminal import DONE, BadUsage, say
from roost.errors import Unavailable

if TYPE_CHECKING:
    from storage.event_records import Event
    from storage.mongo import MongoStore

_EVERY_S: Final = 1.0
_MOST: Final = 10_000


class Events:
    """``roost events``."""

    help = "show what happened when: restarts, moves, operations, acts, alarms"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--last``, ``--follow``, how the system is found, and ``--json``."""
        parser.add_argument("--last", type=int, default=50, metavar="N", help="so many, the newest last (50)")
        parser.add_argument("--follow", action="store_true", help="go on with what happens, until Ctrl-C")
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object on each line")

    def run(self, args: argparse.Namespace) -> int:
        """Read the store, once or until Ctrl-C."""
        if not 1 <= args.last <= _MOST:
            raise BadUsage(f"--last takes a number from 1 to {_MOST}.")
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # how people end it
            asyncio.run(_shown(args))
        return DONE


async def _shown(args: argparse.Namespace) -> None:
    async with opened_store(settings_of(args)) as store:
        found = await store.events.newest(args.last)
        _print(found[::-1], as_json=args.json)
        newest = found[0].n if found else 0
        while args.follow:
            await asyncio.sleep(_EVERY_S)
            newest = await _followed(store, newest, as_json=args.json)


async def _followed(store: "MongoStore", newest: int, *, as_json: bool) -> int:
    """Print what came since; returns the newest that was printed."""
    try:
        found = await store.events.newest(_MOST, after=newest)
    except Unavailable as exc:
        say(f"The store is not responding: {exc.detail}")
        return newest
    _print(found[::-1], as_json=as_json)
    return found[0].n if found else newest


def _print(events: Sequence["Event"], *, as_json: bool) -> None:
    for event in events:
        shown = json.dumps(msgspec.to_builtins(event)) if as_json else line(event)
        sys.stdout.write(shown + "\n")
    sys.stdout.flush()


def line(event: "Event") -> str:
    """Return one event, as people read it."""
    at = dt.datetime.fromtimestamp(event.at_ms / 1000, dt.UTC)
    mark = {"info": " ", "warning": "!", "problem": "#"}[event.level]
    by = f"  ({event.by})" if event.by else ""
    text = f"{event.subject}: {event.text}" if event.kind == "alarm_raised" else event.text
    return f"{at:%Y-%m-%d %H:%M:%S}Z {mark} {event.kind:16} {text}{by}"


events = Events()
