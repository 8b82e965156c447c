"""The one table of allowed connections: from which machines, to which, on which ports. All else is refused.

A machine has a kind, or several: one that runs every role is ``gateway`` and ``node``. A connection is named
by its opener; what belongs to it may come back. Everything in ``deploy/firewall`` and the NetworkPolicies are
made from this table by ``make docs``, and so is the table in ``docs/security.md``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from cluster.settings.clients import Http
from cluster.settings.roles import Telemetry

Machine = Literal["gateway", "node", "head", "kafka", "mongo", "redis"]
"""A kind of machine of ours.

* ``gateway``: clients reach it; roles of every kind may run there.
* ``node``: a node of the Ray cluster that clients do not reach.
* ``head``: the node with Ray's head; roles may run there.
* ``kafka``, ``mongo``, ``redis``: the servers underneath.
"""

Outside = Literal["anyone", "prometheus", "operators", "collector", "resolvers", "public"]
"""Who else takes part.

* ``anyone``: clients and their load balancer.
* ``prometheus``: scrapes metrics.
* ``operators``: come by ssh.
* ``collector``: takes traces.
* ``resolvers``: of names, and of the time.
* ``public``: public addresses, never private ones.
"""

MACHINES: Final[tuple[Machine, ...]] = ("gateway", "node", "head", "kafka", "mongo", "redis")
RAY_NODES: Final[tuple[Machine, ...]] = ("gateway", "node", "head")
GROUPS: Final = (*MACHINES, "prometheus", "operators", "collector", "resolvers")
"""Parties that have addresses: the others are everywhere."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One allowed kind of connection.

    Attributes:
        name: A word for it.
        sources: Who opens it.
        targets: Who answers.
        ports: First and last port, of each range.
        why: What it is for.
        protocol: Of the transport.
    """

    name: str
    sources: tuple[Machine | Outside, ...]
    targets: tuple[Machine | Outside, ...]
    ports: tuple[tuple[int, int], ...]
    why: str
    protocol: Literal["tcp", "udp"] = "tcp"


def _one(*ports: int) -> tuple[tuple[int, int], ...]:
    return tuple((port, port) for port in ports)


_HTTP: Final = _one(Http().port)
_METRICS: Final = _one(Telemetry().metrics_port)
_LINKS: Final = ((32_768, 60_999),)
"""What Linux gives to who asks for any port (``ip_local_port_range``)."""

FLOWS: Final = (
    Flow("clients", ("anyone",), ("gateway",), _HTTP, "HTTP and WebSocket"),
    Flow("links", RAY_NODES, RAY_NODES, _LINKS, "links to hosts, which take any free port"),
    Flow("gcs", RAY_NODES, ("head",), _one(6379), "Ray's control store"),
    Flow("raylets", RAY_NODES, RAY_NODES, ((6380, 6381),), "Ray's node and object managers"),
    Flow("workers", RAY_NODES, RAY_NODES, ((10_002, 19_999),), "calls of roles, which are Ray's workers"),
    Flow("log", RAY_NODES, ("kafka",), _one(9092), "the log"),
    Flow("store", RAY_NODES, ("mongo",), _one(27_017), "the store"),
    Flow("cache", RAY_NODES, ("redis",), _one(6379), "the cache"),
    Flow("brokers", ("kafka",), ("kafka",), ((9092, 9093),), "replication, and the brokers' controllers"),
    Flow("replicas", ("mongo",), ("mongo",), _one(27_017), "replication"),
    Flow("copies", ("redis",), ("redis",), _one(6379, 16_379), "replication, and a cluster's own bus"),
    Flow("metrics", ("prometheus",), RAY_NODES, _METRICS, "the scrape target of each node"),
    Flow("ssh", ("operators",), MACHINES, _one(22), "administration, of the servers too"),
    Flow("bootstrap", ("head",), ("gateway", "node"), _one(22), "`ray up` sets up workers from the head"),
    Flow("traces", RAY_NODES, ("collector",), _one(4318), "spans, if there is a collector"),
    Flow("pushes", RAY_NODES, ("public",), _one(443), "Firebase Cloud Messaging, Web Push, a bucket's files"),
    Flow("names", MACHINES, ("resolvers",), _one(53), "DNS", "udp"),
    Flow("long names", MACHINES, ("resolvers",), _one(53), "DNS, long answers"),
    Flow("time", MACHINES, ("resolvers",), _one(123), "NTP: ids, tokens and leases go by the clock", "udp"),
)
"""Every allowed connection."""


def into(machine: Machine) -> list[Flow]:
    """Return what a machine of this kind is asked."""
    return [flow for flow in FLOWS if machine in flow.targets]


def out_of(machine: Machine) -> list[Flow]:
    """Return what a machine of this kind asks."""
    return [flow for flow in FLOWS if machine in flow.sources]


def allows(source: Machine | Outside, target: Machine | Outside, port: int) -> bool:
    """Return whether the table lets the one open a TCP connection to that port of the other."""
    return any(
        source in flow.sources
        and target in flow.targets
        and flow.protocol == "tcp"
        and any(first <= port <= last for first, last in flow.ports)
        for flow in FLOWS
    )


def shown(ports: Iterable[tuple[int, int]], between: str = "-") -> list[str]:
    """Return ranges of ports as text."""
    return [str(first) if first == last else f"{first}{between}{last}" for first, last in ports]
