"""The verb ``certs``: a private CA of one's own, and certificates for nodes, servers and clients."""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from cluster.certificates import Authority, CertificateError, Held, Purpose, held
from cluster.certificates.authority import CA, CA_DAYS, DAYS
from roost.cli import standard_streams
from roost.cli.terminal import BAD_USAGE, DID_NOT_HOLD, DONE, complain

_RENEW_BEFORE: Final = 30
_SETTINGS: Final = {
    Purpose.NODE: (
        "On each node that it is for, with ca.crt (and never ca.key) beside it:\n"
        "  ROOST_NODE__CA={folder}/ca.crt\n"
        "  ROOST_NODE__CERTIFICATE={folder}/{name}.crt\n"
        "  ROOST_NODE__KEY={folder}/{name}.key\n"
        "Where you start Ray yourself, for `ray` too:\n"
        "  RAY_USE_TLS=1\n"
        "  RAY_TLS_CA_CERT={folder}/ca.crt\n"
        "  RAY_TLS_SERVER_CERT={folder}/{name}.crt\n"
        "  RAY_TLS_SERVER_KEY={folder}/{name}.key\n"
    ),
    Purpose.SERVER: (
        "For the API:\n"
        "  ROOST_TLS__CERTIFICATE={folder}/{name}.crt\n"
        "  ROOST_TLS__KEY={folder}/{name}.key\n"
        "Clients believe it with ca.crt: roost chat --server https://... --ca {folder}/ca.crt\n"
    ),
    Purpose.CLIENT: (
        "For Prometheus: {name}.crt, {name}.key and ca.crt, as deploy/prometheus/prometheus.yml shows.\n"
    ),
}


class Certs:
    """``roost certs``."""

    help = "make a private CA, and certificates for nodes, servers and clients"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``init``, ``issue``, ``renew`` and ``show``."""
        verbs = parser.add_subparsers(metavar="VERB", required=True)
        init = _verb(verbs, "init", _init, "make the CA of a cluster, once")
        init.add_argument("--name", default="this cluster", help="what the CA is of, for people who see it")
        init.add_argument("--days", type=_days, default=CA_DAYS, metavar="N", help=f"validity ({CA_DAYS})")
        issue = _verb(verbs, "issue", _issue, "make a certificate and its key")
        issue.add_argument("name", metavar="NAME", help="name of the files")
        issue.add_argument(
            "places", nargs="*", metavar="PLACE", help="host names and IP addresses that it is reached under"
        )
        issue.add_argument(
            "--for",
            dest="purpose",
            type=Purpose,
            choices=list(Purpose),
            default=Purpose.NODE,
            help="a node's links, Ray and scrape target; a server, such as the API; a client, such as "
            "Prometheus (node)",
        )
        issue.add_argument("--days", type=_days, default=DAYS, metavar="N", help=f"validity ({DAYS})")
        renew = _verb(verbs, "renew", _renew, "make certificates again, with new keys, before they end")
        renew.add_argument(
            "names", nargs="*", metavar="NAME", help="these; without names, whichever end soon"
        )
        renew.add_argument(
            "--before",
            type=_days,
            default=_RENEW_BEFORE,
            metavar="N",
            help=f"without names: those with fewer than N days left ({_RENEW_BEFORE})",
        )
        renew.add_argument("--days", type=_days, default=DAYS, metavar="N", help=f"validity ({DAYS})")
        show = _verb(verbs, "show", _show, "list the certificates and when they end")
        show.add_argument("--json", action="store_true", help="print a JSON list")

    def run(self, args: argparse.Namespace) -> int:
        """Carry out one of them."""
        args.folder = args.folder.expanduser().absolute()
        try:
            code: int = args.act(args, dt.datetime.now(dt.UTC).replace(microsecond=0))
        except CertificateError as exc:
            return complain(str(exc), BAD_USAGE)
        except OSError as exc:
            return complain(f"{exc.filename or args.folder} cannot be used: {exc.strerror}.", BAD_USAGE)
        return code


def _init(args: argparse.Namespace, now: dt.datetime) -> int:
    made = Authority.create(args.folder, args.name, now, args.days)
    return _say(
        f"Made a CA, valid until {_day(made.certificate.not_valid_after_utc)}, in {args.folder}.\n"
        "Whoever has ca.key can pass for every node: keep it off the nodes, and back it up.\n"
        "Next, for each node or for all of them together, with their addresses:\n"
        f"  roost certs issue node ADDRESS ...{_folder(args)}\n"
        "and for the API, under the name that clients use:\n"
        f"  roost certs issue gateway NAME --for server{_folder(args)}\n"
    )


def _issue(args: argparse.Namespace, now: dt.datetime) -> int:
    made = Authority.load(args.folder).issue(args.name, args.places, args.purpose, now, args.days)
    where = _SETTINGS[args.purpose].format(folder=args.folder, name=args.name)
    return _say(
        f"Made {args.folder / args.name}.crt and .key, valid until {_day(made.not_valid_after_utc)}.\n"
        f"{where}Before it ends: roost certs renew{_folder(args)}\n"
    )


def _renew(args: argparse.Namespace, now: dt.datetime) -> int:
    authority = Authority.load(args.folder)
    found = {each.name: each for each in held(args.folder, now) if each.purpose not in (CA, "other")}
    names = args.names or [each.name for each in found.values() if each.days_left < args.before]
    if not names:
        return _say(f"None of {len(found)} certificates ends within {args.before} days.\n")
    renewed = [
        f"  {name}: until {_day(authority.renew(name, now, args.days).not_valid_after_utc)}" for name in names
    ]
    lines = "\n".join(renewed)
    return _say(
        f"Renewed, with new keys:\n{lines}\n"
        "Copy the files to where they are used. Roost takes them from the next connection on, without a "
        "restart; Ray's daemons take them when they start.\n"
    )


def _show(args: argparse.Namespace, now: dt.datetime) -> int:
    found = held(args.folder, now)
    if not found and not args.json:
        return complain(f"There are no certificates in {args.folder}: see `roost certs init`.", DID_NOT_HOLD)
    if args.json:
        return _say(json.dumps(msgspec.to_builtins(found)) + "\n")
    _print(found)
    return DONE


def _print(found: Sequence[Held]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("name", "for", "names", "until", "days left"):
        table.add_column(title, overflow="fold")
    for each in found:
        style = "red" if each.days_left < 0 else "yellow" if each.days_left < _RENEW_BEFORE else ""
        left = str(each.days_left) if each.days_left >= 0 else "ended"
        table.add_row(each.name, each.purpose, ", ".join(each.places), _day(each.until), left, style=style)
    Console(file=sys.stdout).print(table)


def _say(text: str) -> int:
    standard_streams.write(sys.stdout, text)
    return DONE


def _day(when: dt.datetime) -> str:
    return f"{when:%Y-%m-%d}"


def _folder(args: argparse.Namespace) -> str:
    """Return the option for another folder than the usual one."""
    return "" if args.folder == Path(_USUAL).absolute() else f" --dir {args.folder}"


def _verb(verbs: Any, name: str, act: Callable[..., int], about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(act=act)
    parser.add_argument(
        "--dir", dest="folder", type=Path, default=Path(_USUAL), help=f"folder of the CA (./{_USUAL})"
    )
    return parser


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100 * 365:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return int(text)


_USUAL: Final = "certs"
certs = Certs()
