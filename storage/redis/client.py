"""Shared by the Redis clients: how a URL and an access become connections."""

import ssl
from typing import Any

from roost.errors import Unavailable
from roost.loading import without
from storage.access import Access

with without("opentelemetry", "opentelemetry.sdk"):  # it would load that for traces of its own: 0.09 s
    from redis.asyncio.connection import BlockingConnectionPool, SSLConnection, parse_url


class _Verified(SSLConnection):
    """A connection with a context of ours, whatever the URL says of certificates."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


def pool(url: str, access: Access, **options: Any) -> Any:
    """Return a pool of connections; it connects at its first call.

    Args:
        url: ``redis://...``, ``rediss://...`` or ``unix://...``
        access: Who signs in, and whom to believe.
        options: Of the driver's pool.

    Raises:
        Unavailable: A file for TLS cannot be used.
        ValueError: The URL is none for the driver.
    """
    options |= parse_url(url)
    if access.user is not None or access.password is not None:
        options |= {"username": access.user, "password": access.password}
    if options.get("connection_class") is SSLConnection:
        try:
            options |= {"connection_class": _Verified, "context": access.context()}
        except OSError as exc:
            raise Unavailable(f"The files for TLS towards Redis cannot be used: {exc}.") from exc
    return BlockingConnectionPool(**options)
