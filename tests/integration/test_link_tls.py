"""Links over TLS on real sockets: what nodes of a cluster have between them, and what everyone else gets."""

import asyncio
import datetime as dt
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.rpc import link as links
from actors.rpc import messages as msg
from actors.rpc.link import Link, connect, serve
from cluster.certificates import Authority, Purpose
from roost.node_certificate import NodeCertificate
from roost.tls import client_context
from tests.certificates import NOW, Issued
from tests.unit.link_ends import Silent

SECRET = b"s" * 32
ME = ("router", "router-1")
HOST = "127.0.0.1"
TEXT = b"a text that nobody on the way may read"


class Hearing(Silent):
    """A host that keeps its links, and what comes over them."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    def opened(self, link: Any) -> None:
        self.links.append(link)

    def received(self, link: Any, messages: list[Any]) -> None:  # noqa: ARG002 -- the port's
        self.heard.put_nowait(messages)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Issued(tmp_path_factory.mktemp("ca") / "certs")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    """Another cluster's CA."""
    return Issued(tmp_path_factory.mktemp("other") / "certs")


@asynccontextmanager
async def listening(certificate: NodeCertificate | None, host: Any = None) -> AsyncIterator[tuple[str, int]]:
    server, address = await serve(
        HOST, 0, host or Silent(), msg.decode_to_host, secret=SECRET, certificate=certificate
    )
    try:
        yield address
    finally:
        server.close()


async def linked(
    address: tuple[str, int], certificate: NodeCertificate | None, secret: bytes = SECRET
) -> Link:
    return await connect(
        address, Silent(), msg.decode_from_host, secret=secret, me=ME, certificate=certificate
    )


@asynccontextmanager
async def middle(to: tuple[str, int], heard: bytearray) -> AsyncIterator[tuple[str, int]]:
    """Stand between two sides, pass everything on, and keep what goes by."""
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                heard.extend(data)
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*to)
        tasks.add(asyncio.create_task(pump(reader, other_writer)))
        tasks.add(asyncio.create_task(pump(other_reader, writer)))

    server = await asyncio.start_server(met, HOST, 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("encrypted", [True, False])
async def test_what_goes_over_an_encrypted_link_cannot_be_read_on_the_way(
    issued: Issued, *, encrypted: bool
) -> None:
    certificate = issued.node() if encrypted else None
    host, heard = Hearing(), bytearray()
    async with listening(certificate, host) as address, middle(address, heard) as between:
        link = await linked(between, certificate)
        assert link.alive
        link.send(msg.Batch([msg.Part(0, [1], [TEXT])]))
        async with asyncio.timeout(5):
            [batch] = await host.heard.get()
        assert batch.parts[0].values == [TEXT]
        link.close()
    assert (TEXT in heard) is not encrypted
    assert (ME[1].encode() in heard) is not encrypted, "not even who it is"


@pytest.mark.attack("plaintext to the port of encrypted links")
async def test_plaintext_is_refused(issued: Issued) -> None:
    said = msg.encode([msg.Open(0, 1, 0, 0)])
    async with listening(issued.node()) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(struct.pack(">I", len(said)) + said)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
    assert b"welcome" not in answer
    assert len(answer) <= len("an alert"), "it is cut off"


@pytest.mark.attack("an encrypted link answered in plaintext")
async def test_a_listener_without_encryption_is_refused(issued: Issued) -> None:
    async with listening(None) as address:
        with pytest.raises(ssl.SSLError):
            await linked(address, issued.node())


@pytest.mark.attack("a listener on a link with a certificate of another CA")
async def test_a_listener_of_an_unknown_ca_is_refused(issued: Issued, elsewhere: Issued) -> None:
    """It takes any caller: only its certificate gives it away."""
    async with listening(stranger(issued, *elsewhere.pair("node", HOST))) as address:
        with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
            await linked(address, issued.node())


def stranger(issued: Issued, certificate: Path, key: Path) -> NodeCertificate:
    """Return what would connect with this certificate, whatever it is for."""
    return NodeCertificate(issued.ca, certificate, key)


@pytest.mark.attack("a caller on a link with a certificate of another CA")
async def test_a_caller_of_an_unknown_ca_is_refused(issued: Issued, elsewhere: Issued) -> None:
    async with listening(issued.node()) as address:
        with pytest.raises((OSError, ConnectionError), match=r"unknown ca|closed during"):
            await linked(address, stranger(issued, *elsewhere.pair("node", HOST)))


@pytest.mark.attack("a caller on a link without a certificate")
async def test_a_caller_without_a_certificate_is_refused(issued: Issued) -> None:
    bare = client_context(issued.ca)
    async with listening(issued.node()) as address:
        # In TLS 1.3 the client is told after its handshake.
        reader, writer = await asyncio.open_connection(*address, ssl=bare)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(5):
                await reader.readexactly(1)
        writer.close()


@pytest.mark.attack("an expired certificate on a link")
@pytest.mark.parametrize("side", ["listening", "connecting"])
async def test_an_expired_certificate_is_refused(issued: Issued, side: str) -> None:
    old = issued.pair("expired", HOST, now=NOW - dt.timedelta(days=91))
    ends = {"listening": issued.node(), "connecting": issued.node()} | {side: stranger(issued, *old)}
    async with listening(ends["listening"]) as address:
        with pytest.raises((OSError, ConnectionError), match=r"expired|closed during"):
            await linked(address, ends["connecting"])


@pytest.mark.attack("a node's certificate used at another address")
async def test_a_certificate_for_another_address_is_refused(issued: Issued) -> None:
    folder_pair = issued.pair("gateway-host", "10.9.9.9", purpose=Purpose.SERVER)
    async with listening(stranger(issued, *folder_pair)) as address:
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            await linked(address, issued.node())


@pytest.mark.attack("a certificate for clients, such as Prometheus, on a link")
@pytest.mark.parametrize("side", ["listening", "connecting"])
async def test_a_clients_certificate_does_not_pass_for_a_nodes(issued: Issued, side: str) -> None:
    other = issued.pair("prometheus", HOST, purpose=Purpose.CLIENT)
    ends = {"listening": issued.node(), "connecting": issued.node()} | {side: stranger(issued, *other)}
    host = Hearing()
    async with listening(ends["listening"], host) as address:
        with pytest.raises((OSError, ConnectionError)):
            await linked(address, ends["connecting"])
    assert host.links == []


@pytest.mark.attack("a certificate for servers, such as the API, on a link")
@pytest.mark.parametrize("side", ["listening", "connecting"])
async def test_a_servers_certificate_does_not_pass_for_a_nodes(issued: Issued, side: str) -> None:
    """As a listener it is right for TLS, and for the address: only its purpose gives it away."""
    other = issued.pair("api", HOST, purpose=Purpose.SERVER)
    ends = {"listening": issued.node(), "connecting": issued.node()} | {side: stranger(issued, *other)}
    async with listening(ends["listening"]) as address:
        with pytest.raises((OSError, ConnectionError)):
            await linked(address, ends["connecting"])


@pytest.mark.attack("a leaf certificate used as a CA")
async def test_a_node_cannot_issue_certificates(issued: Issued, tmp_path: Path) -> None:
    certificate, key = issued.pair("node", HOST)
    below = tmp_path / "below"
    below.mkdir()
    (below / "ca.crt").write_bytes(certificate.read_bytes())
    (below / "ca.key").write_bytes(key.read_bytes())
    (below / "ca.key").chmod(0o600)
    Authority.load(below).issue("node", [HOST], Purpose.NODE, NOW)
    chain = below / "chain.pem"
    chain.write_bytes((below / "node.crt").read_bytes() + certificate.read_bytes())
    async with listening(stranger(issued, chain, below / "node.key")) as address:
        with pytest.raises(ssl.SSLCertVerificationError):
            await linked(address, issued.node())


@pytest.mark.attack("a node's certificate without the cluster's secret")
@pytest.mark.parametrize("side", ["listening", "connecting"])
async def test_a_nodes_certificate_alone_makes_no_link(issued: Issued, side: str) -> None:
    certificate = issued.node()
    async with listening(certificate) as address:
        if side == "connecting":
            with pytest.raises(ConnectionError):
                await linked(address, certificate, secret=b"another")
            return
        server, there = await serve(
            HOST, 0, Silent(), msg.decode_to_host, secret=b"another", certificate=certificate
        )
        with pytest.raises(ConnectionError):
            await linked(there, certificate)
        server.close()


@pytest.mark.attack("a man in the middle of a link who has a node's certificate")
async def test_a_stolen_certificate_does_not_let_anyone_stand_in_between(issued: Issued) -> None:
    """He ends TLS on both sides and passes the proofs on: each was made for another connection."""
    thief = issued.node("thief", HOST)
    host, tasks = Hearing(), set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(*address, ssl=thief.client(), server_hostname=HOST)
        tasks.update(
            {asyncio.create_task(pump(reader, there[1])), asyncio.create_task(pump(there[0], writer))}
        )

    async with listening(issued.node(), host) as address:
        server = await asyncio.start_server(met, HOST, 0, ssl=thief.server())
        with pytest.raises(ConnectionError):
            await linked(server.sockets[0].getsockname(), issued.node())
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert host.links == []


@pytest.mark.attack("TLS 1.1 on a link")
async def test_old_versions_of_tls_are_refused(issued: Issued) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(issued.ca)
    old.load_cert_chain(*issued.pair("node", HOST))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    async with listening(issued.node()) as address:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*address, ssl=old)


@pytest.mark.attack("a stalled handshake of TLS on a link")
async def test_who_does_not_end_the_handshake_is_cut_off(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "GREETING_S", 0.1)
    async with listening(issued.node()) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(struct.pack(">BHH", 22, 0x0301, 512))  # the head of a first record, and no more
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


@pytest.fixture
def replaceable(tmp_path: Path) -> Issued:
    return Issued(tmp_path / "certs")


async def shown(address: tuple[str, int], issued: Issued) -> Any:
    """Return the serial number of the certificate that a listener shows."""
    context = issued.node("asking", HOST).client()
    _, writer = await asyncio.open_connection(*address, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
    writer.close()
    return found


async def test_a_renewed_certificate_is_used_and_links_that_stand_go_on(replaceable: Issued) -> None:
    certificate, host = replaceable.node(), Hearing()
    async with listening(certificate, host) as address:
        link, before = await linked(address, certificate), await shown(address, replaceable)
        replaceable.renewed("node")
        assert await shown(address, replaceable) != before
        again = await linked(address, certificate)
        assert again.alive
        link.send(msg.Batch([msg.Part(0, [1], [TEXT])]))
        async with asyncio.timeout(5):
            assert await host.heard.get()
        link.close()
        again.close()


@pytest.mark.attack("a broken certificate put in place of a good one")
async def test_a_broken_certificate_is_not_taken(replaceable: Issued) -> None:
    certificate = replaceable.node()
    async with listening(certificate) as address:
        before = await shown(address, replaceable)
        (replaceable.folder / "node.crt").write_text("nothing")
        (replaceable.folder / "node.key").unlink()
        assert await shown(address, replaceable) == before
        link = await linked(address, certificate)
        assert link.alive
        link.close()
