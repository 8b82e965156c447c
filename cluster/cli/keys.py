"""The verb ``keys``: keys are listed, replaced and retired, and the store is re-encrypted."""

import argparse
import asyncio
import datetime as dt
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from cluster import key_ring
from cluster.cli.verbs import again, find_by, found_by
from cluster.settings import Settings, SettingsInvalid
from roost.cli.terminal import BAD_USAGE, DID_NOT_HOLD, DONE, complain, say
from roost.clock import now_ms
from roost.errors import Unavailable
from storage.keyring import PURPOSES, KeyRingError, Purpose, RingFile, RotationRefused, Secrets

_WIDE: Final = 160

_UNSUBSCRIBED: Final = (
    "Devices that subscribed to Web Push with this key are not woken until their client is opened.\n"
)

_Act = Callable[[Settings, argparse.Namespace], int]


class Keys:
    """``roost keys``."""

    help = "list, rotate and retire the keys of the key ring, and re-encrypt what is stored"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the acts, and how the installation is found."""
        acts = parser.add_subparsers(dest="act", metavar="ACT", required=True)

        def act(name: str, told: str, run: _Act) -> argparse.ArgumentParser:
            made: argparse.ArgumentParser = acts.add_parser(name, help=told, description=told)
            find_by(made)
            made.add_argument("--json", action="store_true", help="print one JSON object")
            made.set_defaults(carry_out=run)
            return made

        act("list", "show every key and where it is in its life", _list)
        rotate = act(
            "rotate", "make a new key, which is used after a while; the old one still opens", _rotate
        )
        rotate.add_argument("purposes", nargs="*", metavar="PURPOSE", help=f"{', '.join(PURPOSES)} (all)")
        rotate.add_argument("--in", dest="in_s", type=float, metavar="S", help="seconds until it is used")
        reencrypt = act("reencrypt", "seal everything in the store with the active keys", _reencrypt)
        reencrypt.add_argument("--mongo", metavar="URL", help="the store, unless the settings have it")
        retire = act("retire", "remove a key that nothing is sealed with any longer", _retire)
        retire.add_argument("key", metavar="ID", help="as roost keys list shows it")
        retire.add_argument("--mongo", metavar="URL", help="the store, unless the settings have it")
        seal = act("seal", "seal the key ring's file with the master key of the settings", _seal)
        seal.add_argument("--old-master", metavar="FILE", help="it is sealed by the master key in this file")
        act("unseal", "write the key ring's file without a master key", _unseal)

    def run(self, args: argparse.Namespace) -> int:
        """Carry out the act."""
        try:
            settings = found_by(args)
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        carry_out: _Act = args.carry_out
        try:
            return carry_out(settings, args)
        except (KeyRingError, RotationRefused) as exc:
            return complain(str(exc), DID_NOT_HOLD)


def _list(settings: Settings, args: argparse.Namespace) -> int:
    _show(key_ring.file_of(settings).read(), as_json=args.json)
    return DONE


def _rotate(settings: Settings, args: argparse.Namespace) -> int:
    purposes: list[Purpose] = args.purposes or list(PURPOSES)
    if unknown := set(purposes) - set(PURPOSES):
        return complain(
            f"There is no key for {', '.join(sorted(unknown))}. Choose from {', '.join(PURPOSES)}.", BAD_USAGE
        )
    if args.in_s is not None and args.in_s < 0:
        return complain("--in takes a number of seconds that is not negative.", BAD_USAGE)
    in_ms = key_ring.lead_ms(settings) if args.in_s is None else round(args.in_s * 1000)
    ring = key_ring.rotate(settings, purposes, now_ms(), in_ms)
    _show(ring, as_json=args.json)
    _write_down(settings, "keys.rotate", " ".join(purposes))
    if not args.json:
        sys.stdout.write("\n".join(_next_steps(settings, purposes, in_ms / 1000)) + "\n")
    return DONE


def _next_steps(settings: Settings, purposes: list[Purpose], in_s: float) -> list[str]:
    lines = [f"The new keys are used in {in_s:g} s; every process reads them from the file by itself."]
    if settings.cluster.address is not None:
        lines.append(
            f"Until then copy {settings.keyring_file} to the same place on every machine, mode 0600."
        )
    if {"storage", "index"} & set(purposes):
        lines.append(f"Then: roost keys reencrypt{again(settings)}")
    if "vapid" in purposes:
        lines.append("Devices subscribe to Web Push again by themselves; until then the old key wakes them.")
    lines.append("Back the file up.")
    return lines


def _reencrypt(settings: Settings, args: argparse.Namespace) -> int:
    from cluster.cli.reencryption import reencrypt  # noqa: PLC0415 -- loads the driver

    return asyncio.run(reencrypt(settings, args.mongo, as_json=args.json))


def _retire(settings: Settings, args: argparse.Namespace) -> int:
    from cluster.cli.reencryption import uses_of  # noqa: PLC0415 -- loads the driver

    now = now_ms()
    file = key_ring.file_of(settings)
    before = file.read()
    before.retired(args.key, now)  # what it may say, it says before the store is searched
    key = before.find(args.key)
    if key is not None and key.purpose in ("storage", "index"):
        uses = asyncio.run(uses_of(settings, args.mongo))[key.id]
        if uses:
            return complain(
                f"{uses} values are still sealed with {key.id}; first: roost keys reencrypt{again(settings)}",
                DID_NOT_HOLD,
            )
    _show(file.change(lambda ring: ring.retired(args.key, now)), as_json=args.json)
    named = settings if args.mongo is None else settings.changed({"mongo": {"url": args.mongo}})
    _write_down(named, "keys.retire", args.key)
    if not args.json and key is not None and key.purpose == "vapid":
        sys.stdout.write(_UNSUBSCRIBED)
    return DONE


def _write_down(settings: Settings, act: str, target: str) -> None:
    """Append to the audit log. A ring can be changed while the store is away: then that is said."""
    from cluster.cli.running_store import opened_store, write_down  # noqa: PLC0415 -- loads the driver

    async def append() -> None:
        async with opened_store(settings) as store:
            await write_down(store, act, target, "done")

    try:
        asyncio.run(append())
    except Unavailable as exc:
        say(f"This is not in the audit log, since the store cannot be asked: {exc.detail}")


def _seal(settings: Settings, args: argparse.Namespace) -> int:
    file = key_ring.file_of(settings)
    if key_ring.master_of(settings) is None:
        return complain(
            "There is no master key: set ROOST_KEYRING__MASTER_FILE, _MASTER_ENV or _MASTER_COMMAND.",
            BAD_USAGE,
        )
    before = RingFile(file.path)
    if args.old_master is not None:
        before = RingFile(file.path, key_ring.master_in(Path(args.old_master)))
    file.write(before.read())
    _show(file.read(), as_json=args.json)
    return DONE


def _unseal(settings: Settings, args: argparse.Namespace) -> int:
    file = key_ring.file_of(settings)
    ring = file.read()
    RingFile(file.path).write(ring)
    _show(ring, as_json=args.json)
    return DONE


def _show(ring: Secrets, *, as_json: bool) -> None:
    rows = described(ring, now_ms())
    if as_json:
        shown = {"installation": ring.installation, "serial": ring.serial, "keys": rows}
        sys.stdout.write(json.dumps(shown) + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("id", "purpose", "state", "made", "used from", "accepted until"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        times = [_time(row[name]) for name in ("created_at_ms", "not_before_ms", "retire_at_ms")]
        table.add_row(row["id"], row["purpose"], row["state"], *times)
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)


def described(ring: Secrets, now: int) -> list[dict[str, Any]]:
    """Return what may be shown of each key, by purpose and turn."""
    keys = sorted(ring.keys, key=lambda key: (PURPOSES.index(key.purpose), key.not_before_ms))
    return [
        {
            "id": key.id,
            "purpose": key.purpose,
            "state": str(ring.state_of(key, now)),
            "created_at_ms": key.created_at_ms,
            "not_before_ms": key.not_before_ms,
            "retire_at_ms": key.retire_at_ms,
        }
        for key in keys
    ]


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return "-"
    return dt.datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


keys = Keys()
