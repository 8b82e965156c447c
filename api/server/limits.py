"""Bounds of one client's connection, before anything of it is understood."""

from msgspec import Struct


class ConnectionLimits(Struct, frozen=True):
    """How much, and how slow, a client may be.

    Attributes:
        tls_s: Time for the handshake of TLS.
        head_bytes: Request line and headers of one request.
        headers: How many headers.
        head_s: Time for the first head, and for each later one from its first byte.
        unread_bytes: So much of a body is read and dropped after its request was answered.
        unread_s: For so long it is.
        idle_s: How long a connection is kept between two requests. Proxies keep theirs for 60 s, and must
            be the first to close.
    """

    tls_s: float = 10.0
    head_bytes: int = 32 * 1024
    headers: int = 100
    head_s: float = 20.0
    unread_bytes: int = 4 * 1024 * 1024
    unread_s: float = 10.0
    idle_s: int = 75


LIMITS = ConnectionLimits()
