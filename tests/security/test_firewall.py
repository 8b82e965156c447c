"""The rules of nftables as machines load them: what answers whom, tried from every side on every port."""

from collections.abc import Iterator
from typing import Final

import pytest

from cluster.firewall import nftables
from cluster.firewall.table import FLOWS, GROUPS, MACHINES, Machine, Outside, allows
from tests.security.namespaces import Network, network

OTHERS: Final = (21, 111, 2375, 6382, 8265, 9094, 9999, 20_000, 27_018, 61_000)
"""Ports that are nobody's business: Docker, Ray's dashboard, what else may listen on such a machine."""

PORTS: Final = sorted({port for flow in FLOWS for ports in flow.ports for port in ports} | {*OTHERS})
OUTSIDE: Final = ("prometheus", "operators", "stranger")


@pytest.fixture(scope="module")
def machines() -> Iterator[Network]:
    """A machine of each kind, on which something listens on every port, and some from outside."""
    with network() as made:
        for name in (*MACHINES, *OUTSIDE):
            made.add(name)
        for kind in MACHINES:
            made.listen(made.machines[kind], PORTS)
            load(made, kind)
        yield made


@pytest.fixture
def taken(machines: Network) -> Iterator[Network]:
    """The gateway's machine without rules of its own: whoever took it has taken them away."""
    machines.machines["gateway"].run("nft", "flush", "ruleset")
    yield machines
    load(machines, "gateway")


def load(made: Network, kind: Machine) -> None:
    """Load the rules of a kind of machine, with the addresses of these."""
    files = nftables.files() | {"addresses.nft": addresses(made)}
    text = "".join(files[f"{part}.nft"] for part in ("base", "addresses", kind))
    made.machines[kind].run("nft", "-f", "-", given=text)


def addresses(made: Network) -> str:
    return "".join(
        f"add element inet roost {name}{suffix} {{ {address} }}\n"
        for name, machine in made.machines.items()
        if name in GROUPS
        for suffix, address in zip(("", "6"), machine.addresses, strict=True)
    )


def opened(made: Network, source: str) -> set[tuple[str, int]]:
    """Return the kinds of machines and ports that the source gets a connection to, by either protocol."""
    others = {
        address: kind for kind in MACHINES if kind != source for address in made.machines[kind].addresses
    }
    found = made.machines[source].opens(dict.fromkeys(others, PORTS))
    by_address = [
        {(others[address], port) for address, port in found if (":" in address) is six}
        for six in (False, True)
    ]
    assert by_address[0] == by_address[1], "IPv4 and IPv6 differ"
    return by_address[0]


@pytest.mark.attack("reach anything but the gateways' port from outside", "nftables: all else is refused")
def test_from_outside_only_the_gateways_port_answers(machines: Network) -> None:
    assert opened(machines, "stranger") == {("gateway", 8080)}


@pytest.mark.attack(
    "reach the administration of MongoDB, or another server's port, from a gateway that was taken",
    "nftables of the machines that are asked: the three ports that roles use",
)
def test_from_a_gateways_machine_the_servers_answer_on_one_port(taken: Network) -> None:
    servers = {(kind, port) for kind, port in opened(taken, "gateway") if kind in ("kafka", "mongo", "redis")}
    assert servers == {("kafka", 9092), ("mongo", 27_017), ("redis", 6379)}


@pytest.mark.attack(
    "reach what listens on another node, beyond Ray and the links, from a gateway that was taken",
    "nftables of the node",
)
def test_from_a_gateways_machine_other_nodes_answer_where_the_table_says(taken: Network) -> None:
    found = {port for kind, port in opened(taken, "gateway") if kind == "node"}
    assert found == {port for port in PORTS if allows("gateway", "node", port)}
    assert not found & {22, 8080, 9464, *OTHERS}


@pytest.mark.attack(
    "reach a node from a server that was taken", "nftables: servers open connections to their own kind only"
)
@pytest.mark.parametrize("source", ["kafka", "mongo", "redis"])
def test_from_a_server_nothing_answers_but_its_own_kind(machines: Network, source: str) -> None:
    assert opened(machines, source) == set()


@pytest.mark.parametrize("source", ["node", "head", "prometheus", "operators"])
def test_every_port_answers_whom_the_table_names_and_no_one_else(
    machines: Network, source: Machine | Outside
) -> None:
    # A gateway's port is everyone's, but a machine of ours opens only what the table says of it.
    asked = [source] if source in MACHINES else [source, "anyone"]
    expected = {
        (kind, port)
        for kind in MACHINES
        for port in PORTS
        if kind != source and any(allows(each, kind, port) for each in asked)  # type: ignore[arg-type]
    }
    assert opened(machines, source) == expected
