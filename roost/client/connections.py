"""The connection pool of clients."""

from pathlib import Path

import aiohttp
from aiohttp.connector import NEEDS_CLEANUP_CLOSED

from roost.tls import client_context


def connections(ca: Path | None = None) -> aiohttp.ClientSession:
    """Return a connection pool that any number of clients may share.

    Args:
        ca: PEM file of the authorities to believe, such as a private CA; None for those of the machine.

    Raises:
        OSError: The file cannot be read, or holds no PEM (`ssl.SSLError`).
    """
    trusted = client_context(ca) if ca is not None else True
    # A stream that was closed may still wait for the server's end of TLS: closing the pool closes it.
    connector = aiohttp.TCPConnector(limit=0, ssl=trusted, enable_cleanup_closed=NEEDS_CLEANUP_CLOSED)
    return aiohttp.ClientSession(connector=connector)
