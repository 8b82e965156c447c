"""Shared by the Redis clients: how a URL and an access become connections."""

import asyncio
import ssl
from typing import Any, Final

from roost.errors import Unavailable
from roost.loading import without
from storage.access import Access

with without("opentelemetry", "opentelemetry.sdk"):  # it would load that for traces of its own: 0.09 s
    from redis.asyncio.connection import (
        AbstractConnection,
        BlockingConnectionPool,
        Connection,
        SSLConnection,
        UnixDomainSocketConnection,
        parse_url,
    )


class _Cancellable(AbstractConnection):
    """A connection whose calls always end when their task is cancelled.

    The driver sends with `asyncio.wait_for`, which on Python 3.11 loses a cancellation that comes just as the
    send ends: the call, and a loop around it, would go on as if nobody had ended them.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the driver's own
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # an answer is on its way that nobody reads
            raise asyncio.CancelledError


class _Plain(_Cancellable, Connection):
    """Over TCP."""


class _Unix(_Cancellable, UnixDomainSocketConnection):
    """Over a socket of this machine."""


class _Verified(_Cancellable, SSLConnection):
    """Over TLS with a context of ours, whatever the URL says of certificates."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


_CLASSES: Final[dict[type, type]] = {
    Connection: _Plain,
    UnixDomainSocketConnection: _Unix,
    SSLConnection: _Verified,
}


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
    options["connection_class"] = _CLASSES[options.get("connection_class", Connection)]
    if options["connection_class"] is _Verified:
        try:
            options["context"] = access.context()
        except OSError as exc:
            raise Unavailable(f"The files for TLS towards Redis cannot be used: {exc}.") from exc
    return BlockingConnectionPool(**options)
