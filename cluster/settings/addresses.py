"""Types of settings that are addresses: what can be no address is refused before anything starts."""

import re
from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator

from roost.ids import is_server_name

_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:,@\[\]]+)(:\d{1,5})?")


def _brokers(text: str) -> str:
    if not all(_BROKER.fullmatch(each) for each in text.split(",")):
        shown = _without_name(text)
        raise ValueError(f"{shown!r} is not of the form host:port[,host:port], without a scheme")
    return text


def _without_name(url: str) -> str:
    """Return the URL without the name and the password in it, however badly it is formed."""
    return url.rpartition("@")[2]


def _url_of(*schemes: str) -> AfterValidator:
    """Return what refuses a URL of another scheme, or without a host."""

    def fits(text: str) -> str:
        scheme, found, rest = text.partition("://")
        if not found or scheme not in schemes or not rest.strip("/"):
            wanted = " or ".join(f"{each}://" for each in schemes)
            raise ValueError(f"{_without_name(text)!r} is no address that begins with {wanted}")
        return text

    return AfterValidator(fits)


def _server_name(text: str) -> str:
    if not is_server_name(text):
        raise ValueError(
            f"{text!r} is not 1-255 letters, digits, dots and hyphens, such as chat.example.org; "
            "write a name in another script in its xn-- form"
        )
    return text


def _network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} is no address and no network such as 10.0.0.0/8: {exc}") from exc
    if network.prefixlen == 0:
        raise ValueError(f"{text} is everyone: then any client could say that it is another")
    return text


Brokers = Annotated[str, AfterValidator(_brokers)]
MongoUrl = Annotated[str, _url_of("mongodb", "mongodb+srv")]
RedisUrl = Annotated[str, _url_of("redis", "rediss", "unix")]
HttpUrl = Annotated[str, _url_of("http", "https")]
Network = Annotated[str, AfterValidator(_network)]
MediaUrl = Annotated[str, _url_of("file", "s3", "gs", "az", "azure")]
ServerName = Annotated[str, AfterValidator(_server_name)]
