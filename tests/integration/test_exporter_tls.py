"""A scrape target over TLS: who may read the metrics."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.certificates import Purpose
from cluster.local.servers import free_port
from roost.tls import client_context
from telemetry.exporter import Exporter, Shown
from tests.certificates import Issued

HOST = "127.0.0.1"
ASK = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    return Issued(tmp_path / "certs")


@pytest.fixture
async def port(issued: Issued, tmp_path: Path) -> AsyncIterator[int]:
    async def collect() -> bytes:
        return b"# TYPE roost_users gauge\nroost_users 5.0\n"

    found = free_port()
    exporter = Exporter(Shown("host", "host-1"), collect, tmp_path / "run", (HOST, found), issued.node())
    await exporter.start()
    yield found
    await exporter.stop()


async def asked(port: int, context: ssl.SSLContext | None) -> bytes:
    """Ask as soon as the port is open; returns the answer, whatever becomes of the connection."""
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                break
        writer.write(ASK)
        try:
            return await reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""
        finally:
            writer.close()


@pytest.mark.parametrize("purpose", [Purpose.CLIENT, Purpose.NODE])
async def test_a_client_of_the_ca_reads_the_metrics(port: int, issued: Issued, purpose: Purpose) -> None:
    certificate = issued.pair("prometheus", HOST, purpose=purpose)
    assert b"roost_users" in await asked(port, client_context(issued.ca, *certificate))


@pytest.mark.attack("metrics asked for in plaintext")
async def test_plaintext_reads_nothing(port: int) -> None:
    assert b"roost" not in await asked(port, None)


@pytest.mark.attack("metrics asked for without a certificate")
async def test_a_stranger_reads_nothing(port: int, issued: Issued) -> None:
    assert await asked(port, client_context(issued.ca)) == b""


@pytest.mark.attack("metrics asked for with a certificate of another CA, or for a server")
@pytest.mark.parametrize("whose", ["another CA's", "a server's"])
async def test_another_certificate_reads_nothing(
    port: int, issued: Issued, tmp_path: Path, whose: str
) -> None:
    issuer = issued if whose == "a server's" else Issued(tmp_path / "other")
    purpose = Purpose.SERVER if whose == "a server's" else Purpose.CLIENT
    certificate = issuer.pair("stranger", HOST, purpose=purpose)
    assert await asked(port, client_context(issued.ca, *certificate)) == b""
