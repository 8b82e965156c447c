"""The proxy on the way to a provider of pushes, as the environment names it."""

from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy that a URL is reached through; None: it is reached directly.

    ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` count, in either case. What is on this machine no proxy
    reaches.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
