"""Checks that nothing of ours listens beyond this machine without encryption, unless a setting says so."""

import ipaddress
from collections.abc import Iterator
from typing import Final

from cluster.doctor.finding import Finding, failed
from cluster.settings import Settings

_MAKE_NODE: Final = (
    "Give each node a certificate: `roost certs init`, then `roost certs issue node ADDRESS ...`, which says "
    "the settings. Or set"
)


def cleartext(settings: Settings) -> Iterator[Finding]:
    """Yield each listener that others could listen in on."""
    for found in (clients(settings), links(settings), metrics(settings)):
        if found is not None:
            yield found


def clients(settings: Settings) -> Finding | None:
    """Whether clients' connections are encrypted where others pass them on."""
    http = settings.http
    if is_loopback(http.host) or http.insecure or settings.tls.certificate is not None:
        return None
    return failed(
        "certificate",
        f"the API listens on {http.host} without TLS, and passwords and tokens could be read on the way",
        "Set ROOST_TLS__CERTIFICATE and ROOST_TLS__KEY (`roost certs init`, then `roost certs issue gateway "
        "NAME --for server` make some), or ROOST_HTTP__INSECURE=true if a proxy in front does TLS.",
    )


def links(settings: Settings) -> Finding | None:
    """Whether links and Ray are encrypted where they leave the machine."""
    cluster = settings.cluster
    stays = is_loopback(cluster.listen) and (cluster.address is None or is_loopback(_host(cluster.address)))
    if stays or cluster.insecure or settings.node.files is not None:
        return None
    where = cluster.listen if cluster.address is None else "the nodes of a Ray cluster"
    return failed(
        "encryption of links",
        f"roles listen on {where} without TLS, and who writes to whom could be read on the way",
        f"{_MAKE_NODE} ROOST_CLUSTER__INSECURE=true.",
    )


def metrics(settings: Settings) -> Finding | None:
    """Whether the scrape target is encrypted, and asks who wants to know, where others reach it."""
    telemetry = settings.telemetry
    stays = not telemetry.metrics_port or is_loopback(telemetry.metrics_host)
    if stays or telemetry.insecure or settings.node.files is not None:
        return None
    return failed(
        "encryption of metrics",
        f"metrics are served on {telemetry.metrics_host} without TLS, to anyone",
        f"{_MAKE_NODE} ROOST_TELEMETRY__INSECURE=true.",
    )


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the address; `node` and all addresses at once are not such."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in ("localhost", "ip6-localhost")
