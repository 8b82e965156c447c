"""How many connections each address has open at a gateway."""

from collections import Counter
from ipaddress import IPv6Address, IPv6Network

from api.identity.client_address import TrustedProxies, parse_address


class ConnectionCounts:
    """Open connections by address: the IPv4 address, or the IPv6 network of 64 bits.

    Args:
        most: So many may one address have.
        proxies: These are not counted: behind one are many clients. Nor is this machine.

    Attributes:
        refused: How many were refused.
    """

    def __init__(self, most: int, proxies: TrustedProxies | None = None) -> None:
        self._most, self._proxies = most, proxies
        self._open: Counter[str] = Counter()
        self.refused = 0

    def key_of(self, address: str | None) -> str | None:
        """Return as what an address is counted; None if it is not."""
        parsed = parse_address(address)
        if parsed is None or parsed.is_loopback or (self._proxies and self._proxies.trusts(address)):
            return None
        if isinstance(parsed, IPv6Address):
            return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
        return str(parsed)

    def enter(self, key: str | None) -> bool:
        """Count a connection; returns whether there is room for it. Each is to `leave`, also one too many."""
        if key is None:
            return True
        self._open[key] += 1
        fits = self._open[key] <= self._most
        self.refused += not fits
        return fits

    def leave(self, key: str | None) -> None:
        """A connection is gone."""
        if key is None:
            return
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]
