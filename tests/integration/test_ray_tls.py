"""Ray's encryption: the variables that it reads, and a mismatch that is found before Ray looks in vain."""

import asyncio
from pathlib import Path

import pytest

from cluster.local.ray_tls import check, ray_tls
from cluster.settings import Node
from roost.errors import Unavailable
from tests.certificates import Issued

HOST = "127.0.0.1"


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    return Issued(tmp_path / "certs")


def node(issued: Issued) -> Node:
    certificate, key = issued.pair("node", HOST)
    return Node(ca=issued.ca, certificate=certificate, key=key)


def test_ray_is_told_of_the_nodes_certificate_or_of_nothing(issued: Issued) -> None:
    told = ray_tls(node(issued))
    assert told.pop("RAY_USE_TLS") == "1"
    assert {Path(path) for path in told.values()} == {issued.ca, *issued.pair("node")}
    assert ray_tls(Node()) == {}


@pytest.mark.attack("a Ray without TLS in place of one with it")
@pytest.mark.parametrize("server", ["tls", "plain"])
@pytest.mark.parametrize("client", ["tls", "plain"])
async def test_a_mismatch_is_said_at_once(issued: Issued, server: str, client: str) -> None:
    def met(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if server == "plain":
            writer.write(
                b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x10\x00\x00"
            )  # HTTP/2, as gRPC begins

    context = issued.node().server() if server == "tls" else None
    ray = await asyncio.start_server(met, HOST, 0, ssl=context)
    port = ray.sockets[0].getsockname()[1]
    mine = node(issued) if client == "tls" else Node()
    asked = asyncio.to_thread(check, f"{HOST}:{port}", mine)
    if server == client:
        await asked
    else:
        with pytest.raises(Unavailable, match="speaks TLS: set" if server == "tls" else "does not speak TLS"):
            await asked
    ray.close()


@pytest.mark.parametrize("address", ["auto", "local", f"{HOST}:1"])
def test_nothing_is_said_where_nothing_is_known(address: str) -> None:
    check(address, Node())
