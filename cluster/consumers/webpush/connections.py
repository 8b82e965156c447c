"""Connections to push services: to addresses of the public internet, resolved once, and no further.

A name is one thing when it is allowed and may be another when it is resolved. So the address is looked at
after that, and it is what is connected to: the name is not resolved a second time. A connection that is kept
stays with its address.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from roost.tls import client_context, trusting

TOTAL_S: Final = 10.0
"""From connecting to the head of the answer, however slowly it comes."""

_HEAD_MOST: Final = 4096
"""Bytes of a line of the answer's head."""

_THREADS: Final = 32
_GLOBAL: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):  # noqa: N818 -- named for what happened
    """A name leads to an address that is not one of the public internet."""


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet, also one that IPv6 carries inside."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = _carried(found)
        if inner is None:
            return found in _GLOBAL and found.is_global
        found = inner
    return found.is_global and not found.is_multicast


def _carried(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a packet to this address ends up at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those that lead elsewhere than to the public internet.

    It has threads of its own: a name whose servers do not answer keeps one for half a minute.

    Args:
        look_up: As `socket.getaddrinfo`.
    """

    def __init__(self, look_up: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(_THREADS, "push-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            AddressRefused: One of them is not public.
        """
        asked = partial(self._look_up, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        for _, _, _, _, place in found:
            if not is_public(place[0]):
                raise AddressRefused(f"{host} leads to {place[0]}, which is not public")
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=place[0], port=place[1], family=kind, proto=proto, flags=flags)
            for kind, _, proto, _, place in found
        ]

    async def close(self) -> None:
        """Begin no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Connections:
    """Sessions that keep no cookies, unpack nothing, follow nothing, and ask no environment.

    Args:
        most: At most so many connections of each kind at once.
        ca: PEM files of authorities that the operator's own services are believed by, besides the machine's.
        resolver: For public services; None: what names really lead to.
        trusted: Whose certificates public services may show; None: those that this machine believes.

    Raises:
        OSError: A file of ``ca`` cannot be read, or holds no PEM (`ssl.SSLError`).
    """

    def __init__(
        self,
        most: int,
        ca: Sequence[Path] = (),
        resolver: AbstractResolver | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._most, self._resolver = most, resolver
        self._trusted, self._own = trusted or client_context(), trusting(*ca)

    @cached_property
    def public(self) -> aiohttp.ClientSession:
        """Connections to the public internet only."""
        return self._session(self._resolver or PublicResolver(), self._trusted)

    @cached_property
    def proxied(self) -> aiohttp.ClientSession:
        """Connections to public services through a proxy: what a name means is the proxy's to find out."""
        return self._session(None, self._trusted)

    @cached_property
    def internal(self) -> aiohttp.ClientSession:
        """Connections to the operator's own services."""
        return self._session(None, self._own)

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        for name in ("public", "proxied", "internal"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                await opened.close()

    def _session(self, resolver: AbstractResolver | None, trusted: ssl.SSLContext) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._most,
                resolver=resolver,
                use_dns_cache=False,
                ssl=trusted,
            ),
            timeout=aiohttp.ClientTimeout(total=TOTAL_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent",),
            auto_decompress=False,
            max_line_size=_HEAD_MOST,
            max_field_size=_HEAD_MOST,
        )


def refused_address(exc: BaseException) -> str:
    """Return why an address was not connected to, '' if that is not what failed."""
    reason = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    return str(reason) if isinstance(reason, AddressRefused) else ""
