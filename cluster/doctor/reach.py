"""Whether a server of one's own can be reached at all, with TLS where the settings want it."""

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from cluster.settings import cleartext
from storage.access import Access

_CONNECT_S: Final = 5.0
_PORTS: Final = {"kafka": 9092, "mongo": 27017, "redis": 6379}


async def failure(name: str, url: str, access: Access) -> str | None:
    """Return why none of its addresses can be reached, None if one can.

    Args:
        name: ``kafka``, ``mongo`` or ``redis``.
        url: Its address or addresses.
        access: Whom to believe there.
    """
    encrypted = {
        "kafka": access.tls,
        "mongo": cleartext.mongo_has_tls(url),
        "redis": url.startswith("rediss:"),
    }[name]
    try:
        context = access.context() if encrypted else None
    except OSError as exc:
        return str(exc)
    reasons = [await _not_reached(*place, context) for place in _places(url, _PORTS[name])]
    if not reasons or None in reasons:
        return None
    return ", ".join(filter(None, reasons))


async def _not_reached(host: str, port: int, context: ssl.SSLContext | None) -> str | None:
    """Return why nothing is there, None if something is."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        return f"no answer within {_CONNECT_S:g} s"
    except ssl.SSLCertVerificationError as exc:
        return f"its certificate is not to be believed: {exc.verify_message}"
    except (ssl.SSLError, ConnectionResetError) as exc:
        said = exc.strerror or type(exc).__name__
        return said if context is None else f"it does not speak TLS as we do: {said}"
    except OSError as exc:
        # A name that is not known has an error number of its own, below zero.
        return os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc.strerror or exc)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return None


def _places(url: str, port: int) -> Iterator[tuple[str, int]]:
    """Yield host and port of each address; nothing for one that only its driver resolves."""
    scheme, _, rest = url.rpartition("://")
    if scheme in ("unix", "mongodb+srv"):
        return
    for place in rest.partition("/")[0].partition("?")[0].rpartition("@")[2].split(","):
        parts = urlsplit(f"//{place}")
        yield parts.hostname or "", port if parts.port is None else parts.port
