"""The connection pool of clients."""

from pathlib import Path

import aiohttp

from roost.tls import client_context


def connections(ca: Path | None = None) -> aiohttp.ClientSession:
    """Return a connection pool that any number of clients may share.

    Args:
        ca: PEM file of the authorities to believe, such as a private CA; None for those of the machine.

    Raises:
        OSError: The file cannot be read, or holds no PEM (`ssl.SSLError`).
    """
    trusted = client_context(ca) if ca is not None else True
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=trusted))
