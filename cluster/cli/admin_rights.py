"""``roost admin export USER`` and ``roost admin erase USER``."""

import argparse
import asyncio
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from cluster.cli.running_store import opened_store, write_down
from cluster.cli.verbs import find_by, found_by
from cluster.local.running_servers import with_running_servers
from cluster.settings import Settings, SettingsInvalid
from roost.cli.terminal import BAD_USAGE, DID_NOT_HOLD, DONE, Waiting, complain, say
from roost.clock import now_ms
from roost.errors import RoostError
from roost.ids import fold_username
from storage.account_rows import Erasure

if TYPE_CHECKING:
    from storage.ports import Store

_LOOK_EVERY_S: Final = 0.5
_LONGEST_S: Final = 600.0


class Export:
    """``roost admin export``."""

    help = "write everything that is held on a user, as JSON"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the user, ``--to``, and how the system is found."""
        parser.add_argument("user", metavar="USER", help="username")
        parser.add_argument("--to", metavar="FILE", type=Path, help="file to write (default: stdout)")
        find_by(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Write it."""
        try:
            settings = _running(args)
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        asyncio.run(_export(settings, args.user, args.to))
        return DONE


class Erase:
    """``roost admin erase``."""

    help = "erase an account, and show what is left of it, where, and until when"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the user, ``--yes``, ``--json``, and how the system is found."""
        parser.add_argument("user", metavar="USER", help="username; or the id of one that is erased already")
        parser.add_argument("--yes", action="store_true", help="do not ask; there is no way back")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        find_by(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Have it erased by the host that has the user, and look through every store."""
        try:
            settings = _running(args)
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        if not args.yes and not _confirmed(args.user):
            return complain("Nothing was erased. Say --yes to erase without being asked.", BAD_USAGE)
        return asyncio.run(
            _erase(settings, args.user, embedded=found_by(args).kafka.url is None, as_json=args.json)
        )


export, erase = Export(), Erase()


def _confirmed(user: str) -> bool:
    if not sys.stdin.isatty():
        return False
    say(f"This erases the account of {user} now, without a grace time. Type the username to go on:")
    return sys.stdin.readline().strip() == user


def _running(args: argparse.Namespace) -> Settings:
    """Return the settings, with the addresses of what was started with this data folder."""
    return with_running_servers(found_by(args))


def _output(to: Path | None) -> AbstractContextManager[BinaryIO]:
    """Open the file, for its owner alone; or stdout."""
    if to is None:
        return nullcontext(sys.stdout.buffer)
    to.touch(mode=0o600)
    to.chmod(0o600)  # one that was there before
    return to.open("wb")


async def _export(settings: Settings, name: str, to: Path | None) -> None:
    from storage.export import export_of  # noqa: PLC0415 -- loads a driver

    async with opened_store(settings) as store:
        user = await store.accounts.user_by_name(_folded(name))
        if user is None:
            raise RoostError("unknown_user", f"There is no user {name!r}.")
        await write_down(store, "admin.export", user.user_id, "requested")
        with _output(to) as file:
            async for piece in export_of(store, user, now_ms):
                file.write(piece)
        await write_down(store, "admin.export", user.user_id, "done")


async def _erase(settings: Settings, name: str, *, embedded: bool, as_json: bool) -> int:
    from cluster.rights.scan import scan  # noqa: PLC0415 -- loads every driver
    from storage.mentions import needles  # noqa: PLC0415 -- likewise

    async with opened_store(settings) as store:
        user = await store.accounts.user_by_name(_folded(name))
        if user is None and await store.erasures.get(name) is None:
            raise RoostError("unknown_user", f"There is no user {name!r}.")
        user_id, username = name, ""
        devices: tuple[str, ...] = ()
        if user is not None:
            user_id, username = user.user_id, user.username
            found = (await store.accounts.devices_of([user_id]))[user_id]
            devices = tuple(each.device for each in found)
            now = now_ms()
            await write_down(store, "admin.erase", user_id, "requested")
            await store.erasures.ask(Erasure(user_id, username, "asked", now, now))
        failure = await _erased(store, user_id)
        await write_down(store, "admin.erase", user_id, f"failed: {failure}" if failure else "done")
    if failure:
        return complain(failure, DID_NOT_HOLD)
    remains = await scan(settings, needles(user_id, username, devices), embedded=embedded)
    if as_json:
        shown = json.dumps({"user": user_id, "remains": msgspec.to_builtins(remains)})
    else:
        lines = [f"  {each.where}: {each.count}: {each.why}" for each in remains]
        backups = "Backups are not looked at: they keep it until you delete them."
        shown = "\n".join([f"{name} ({user_id}) is erased. What mentions it:", *lines, backups])
    sys.stdout.write(shown + "\n")
    return DONE if all(each.expected for each in remains) else DID_NOT_HOLD


async def _erased(store: "Store", user: str) -> str:
    """Wait until the account is erased; returns a sentence if it is not."""
    waiting = Waiting(_LONGEST_S)
    while (row := await store.erasures.get(user)) is None or row.state != "erased":
        if row is None:
            return "The owner has logged in meanwhile: nothing was erased."
        if waiting.over:
            state = "No host has begun" if row.state == "asked" else "It is not finished"
            return f"{state} after {_LONGEST_S:g} s. See `roost status`."
        waiting.say(f"{row.state}: a host looks twice, the second time 20 s later")
        await asyncio.sleep(_LOOK_EVERY_S)
    return ""


def _folded(name: str) -> str:
    try:
        return fold_username(name)
    except ValueError:
        return ""
