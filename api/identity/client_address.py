"""Whose request it is, where proxies stand between: the address that trusted ones say it came from.

Each proxy appends the address that connected to it, so the header is read from its end, and only as far as
those who wrote it are trusted: what stands before is the client's own word, and anybody's.

Source: RFC 7239, sections 5.2 and 7.1.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

Header = Literal["x-forwarded-for", "forwarded"]
"""What proxies write. One of them is read: the other may be the client's."""

_HOPS: Final = 16
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^\s;"]+)\s*(?:;|$)', re.IGNORECASE)
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([\d.]+):\d{1,5}")

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


class TrustedProxies:
    """The proxies whose word about a client's address counts.

    Args:
        networks: Their addresses.
        header: The header that they write.
    """

    def __init__(self, networks: Iterable[str], header: Header = "x-forwarded-for") -> None:
        self._networks: Sequence[_Network] = [ip_network(each) for each in networks]
        self._header = header.encode()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks)

    def trusts(self, address: str | None) -> bool:
        """Return whether this is the address of one of them."""
        return self._trusts(parse_address(address))

    def client_of(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the address of the client.

        Args:
            peer: Who connected.
            headers: Of the request; names in lower case.
        """
        client = parse_address(peer)
        if not self._trusts(client):
            return peer
        lines = [value.decode("latin-1") for name, value in headers if name == self._header]
        for hop, said in enumerate(_from_the_end(lines, forwarded=self._header == b"forwarded")):
            before = parse_address(said)
            if before is None or hop >= _HOPS:
                break  # "unknown", a name, or rubbish: the last one that is known has to answer for it
            client = before
            if not self._trusts(before):
                break
        return str(client)

    def _trusts(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def parse_address(text: str | None) -> _Address | None:
    """Return an address, which may have a port; None for what is none. An IPv4 address in IPv6 is itself."""
    if text is None:
        return None
    match = _WITH_PORT.fullmatch(text.strip())
    try:
        found = ip_address(text.strip() if match is None else match[1] or match[2])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _from_the_end(lines: Sequence[str], *, forwarded: bool) -> Iterator[str]:
    for line in reversed(lines):
        for part in reversed(line.split(",")):
            if not forwarded:
                yield part
            else:
                match = _FOR.search(part)
                yield match[1].strip('"') if match else ""
