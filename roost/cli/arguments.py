"""Arguments that several verbs take."""

import argparse
from pathlib import Path
from ssl import SSLError
from urllib.parse import urlsplit

from roost.tls import client_context


def http_url(text: str) -> str:
    """Return the base URL of a server, for ``argparse``.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a server, such as http://127.0.0.1:8080")
    return text.rstrip("/")


def add_ca(parser: argparse.ArgumentParser) -> None:
    """Declare ``--ca``, for verbs that connect to a server."""
    parser.add_argument(
        "--ca",
        metavar="FILE",
        type=_authorities,
        help="PEM file of the private CA of the server's certificate",
    )


def _authorities(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    try:
        client_context(path)
    except OSError as exc:
        reason = "it holds no certificate in PEM" if isinstance(exc, SSLError) else exc.strerror
        raise argparse.ArgumentTypeError(f"{path} cannot be used: {reason}") from exc
    return path
