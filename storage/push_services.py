"""The push services that may be sent to. Pure: what a name leads to is looked at when it is resolved.

An endpoint of Web Push is a URL that a stranger names, and that a server of ours then calls. So its form is
narrow, for no two readers of it to understand it differently, and its host is one that the operator knows.
"""

import re
from typing import Final

from msgspec import Struct

MAX_ENDPOINT: Final = 1024
"""Bytes of an endpoint."""

KNOWN: Final = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.notify.windows.com",
    "*.push.apple.com",
)
"""The services of the browsers: Chrome and what is built on it, Firefox, Edge, Safari."""

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = rf"{_LABEL}(?:\.{_LABEL})*"
_ORIGIN: Final = rf"(?P<scheme>https?)://(?P<host>{_NAME})(?::(?P<port>[1-9][0-9]{{0,4}}))?"
_ENDPOINT: Final = re.compile(_ORIGIN + r"/[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*", re.ASCII)
_INTERNAL: Final = re.compile(_ORIGIN, re.ASCII)
_HOST: Final = re.compile(rf"(?:\*|(?:\*\.)?{_NAME})(?::[1-9][0-9]{{0,4}})?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_HTTPS: Final = 443


class PushService(Struct, frozen=True):
    """Where an endpoint leads.

    Attributes:
        origin: Scheme, host and port as a browser writes them: what a signature for the service names.
        host: Its name.
        internal: Whether it may be on this machine or in a private network.
    """

    origin: str
    host: str
    internal: bool


class PushServices(Struct, frozen=True):
    """The services that may be sent to.

    Attributes:
        hosts: Names of public services, with a port unless it is 443; ``*.NAME``: those below; ``*``: all.
        internal: Origins of the operator's own, which may be on this machine or in a private network.
    """

    hosts: tuple[str, ...] = KNOWN
    internal: tuple[str, ...] = ()

    def of(self, endpoint: str) -> PushService:
        """Return where an endpoint leads.

        Raises:
            ValueError: It is none, or its service is not one of these; the text is a sentence.
        """
        found = _ENDPOINT.fullmatch(endpoint) if len(endpoint) <= MAX_ENDPOINT else None
        if found is None:
            raise ValueError(
                f"An endpoint is an https:// URL in ASCII of at most {MAX_ENDPOINT} bytes, its host in lower "
                "case."
            )
        scheme, host, port = found["scheme"], found["host"], found["port"]
        usual = port is None or (scheme, int(port)) == ("https", _HTTPS)
        place = host if usual else f"{host}:{port}"
        origin = f"{scheme}://{place}"
        if origin in self.internal:
            return PushService(origin, host, internal=True)
        if scheme != "https":
            raise ValueError("An endpoint begins with https://.")
        if _is_address(host) or not any(_fits(place, each) for each in self.hosts):
            raise ValueError(f"{origin} is not one of the push services that this server sends to.")
        return PushService(origin, host, internal=False)


def _is_address(host: str) -> bool:
    """Return whether this is read as an IPv4 address somewhere, in whatever notation."""
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _fits(place: str, pattern: str) -> bool:
    """Return whether a host, with its port unless that is 443, is one that an entry of `hosts` names."""
    (name, _, port), (wanted, _, wanted_port) = place.partition(":"), pattern.partition(":")
    if port != wanted_port:
        return False
    return wanted in ("*", name) or (wanted.startswith("*.") and name.endswith(wanted[1:]))


def host_pattern(text: str) -> str:
    """Return the text of an entry of `PushServices.hosts`.

    Raises:
        ValueError: It is none.
    """
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r} is no host such as push.example.org, *.example.org, or * for all")
    return text


def internal_origin(text: str) -> str:
    """Return the text of an entry of `PushServices.internal`.

    Raises:
        ValueError: It is no origin, or leads over a network without TLS.
    """
    found = _INTERNAL.fullmatch(text)
    if not found or (found["scheme"] == "https" and found["port"] == str(_HTTPS)):
        raise ValueError(f"{text!r} is no origin such as https://push.example.org")
    if found["scheme"] == "http" and not re.fullmatch(r"127(\.[0-9]{1,3}){3}|localhost", found["host"]):
        raise ValueError(f"{text} would be reached without TLS: begin it with https://")
    return text
