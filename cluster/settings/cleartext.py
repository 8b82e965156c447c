"""The addresses of servers underneath that lead over a network unencrypted, or to whoever answers there."""

import ipaddress
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from cluster.settings.media import Media
from cluster.settings.servers import without_password
from cluster.settings.settings import Settings

_YES: Final = ("true", "1", "yes", "on")
_UNVERIFIED: Final = {
    "tlsinsecure": _YES,
    "tlsallowinvalidcertificates": _YES,
    "tlsallowinvalidhostnames": _YES,
    "ssl_cert_reqs": ("none", "optional"),
    "ssl_check_hostname": ("false", "0", "no", "off"),
}
"""Options of a URL that leave a certificate or its name unverified, with the values that do."""


class Cleartext(NamedTuple):
    """A way that is not safe.

    Attributes:
        what: It, without a password.
        fix: What makes it safe.
    """

    what: str
    fix: str


def found(settings: Settings) -> Iterator[Cleartext]:
    """Yield every way to a server that is not safe, whether the settings make an exception or not."""
    kafka, mongo, redis = settings.kafka, settings.mongo, settings.redis
    if kafka.url is not None and not kafka.security.tls and _far(kafka.url.split(",")):
        yield Cleartext(
            f"Kafka at {kafka.url} would be reached without TLS",
            f"Set ROOST_KAFKA__SECURITY__TLS=true{_authority('KAFKA')}.",
        )
    if mongo.url is not None and not mongo_has_tls(mongo.url) and _far(_hosts(mongo.url)):
        yield Cleartext(
            f"MongoDB at {without_password(mongo.url)} would be reached without TLS",
            f"Add tls=true to ROOST_MONGO__URL{_authority('MONGO')}.",
        )
    if redis.url is not None and redis.url.startswith("redis:") and _far(_hosts(redis.url)):
        yield Cleartext(
            f"Redis at {without_password(redis.url)} would be reached without TLS",
            f"Begin ROOST_REDIS__URL with rediss://{_authority('REDIS')}.",
        )
    yield from _unverified("MONGO", mongo.url)
    yield from _unverified("REDIS", redis.url)
    yield from _bucket(settings.media)
    yield from _web("ROOST_FCM__ENDPOINT", settings.fcm.endpoint)
    yield from _web("ROOST_TELEMETRY__TRACES_URL", settings.telemetry.traces_url)


def mongo_has_tls(url: str) -> bool:
    """Return whether the drivers encrypt connections to this URL."""
    given = _options(url)
    said = given.get("tls", given.get("ssl"))
    return url.startswith("mongodb+srv:") if said is None else said in _YES


def is_loopback(host: str) -> bool:
    """Return whether what is sent to this host stays on this machine; a name is not looked up."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "ip6-localhost")


def _unverified(name: str, url: str | None) -> Iterator[Cleartext]:
    given = _options(url or "")
    if wrong := [each for each, values in _UNVERIFIED.items() if given.get(each) in values]:
        yield Cleartext(
            f"{without_password(url)} would be believed whatever certificate it shows",
            f"Take {' and '.join(wrong)} out of ROOST_{name}__URL{_authority(name)}.",
        )


def _bucket(media: Media) -> Iterator[Cleartext]:
    try:
        addresses = media.in_the_clear()
    except OSError:  # who reads the file to use it says what is wrong with it
        return
    for address in filter(lambda each: _far(_hosts(each)), addresses):
        yield Cleartext(
            f"The bucket of media at {without_password(address)} would be reached without TLS",
            "Begin its address in ROOST_MEDIA__OPTIONS with https://, and set ROOST_MEDIA__CA if the "
            "certificate's authority is your own.",
        )


def _web(variable: str, url: str | None) -> Iterator[Cleartext]:
    if url is not None and url.startswith("http:") and _far(_hosts(url)):
        yield Cleartext(
            f"{without_password(url)} would be reached without TLS", f"Begin {variable} with https://."
        )


def _authority(name: str) -> str:
    return f", and set ROOST_{name}__SECURITY__CA if the certificate's authority is your own"


def _options(url: str) -> dict[str, str]:
    return {name.lower(): value.lower() for name, value in parse_qsl(urlsplit(url).query)}


def _hosts(url: str) -> list[str]:
    place = url.partition("://")[2].partition("/")[0].partition("?")[0]
    return place.rpartition("@")[2].split(",")


def _far(places: list[str]) -> bool:
    return not all(is_loopback(urlsplit(f"//{place}").hostname or "") for place in places)
