"""A certificate authority for tests, and servers that speak TLS with what it signs."""

import asyncio
import datetime as dt
import ssl
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
_DAY = dt.timedelta(days=1)


class Authority:
    """Signs certificates.

    Attributes:
        file: Its own certificate.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {folder.name}")])
        self.file = folder / "ca.pem"
        builder = self._builder(self._name, self._key.public_key(), dt.datetime.now(dt.UTC) + _DAY)
        own = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def signed(self, name: str, *, host: str = HOST, ends: dt.timedelta = _DAY) -> Path:
        """Return a file with a certificate for this host and its private key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)]
        certificate = (
            self._builder(subject, key.public_key(), dt.datetime.now(dt.UTC) + ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self._folder / f"{name}.pem"
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, ends: dt.datetime
    ) -> x509.CertificateBuilder:
        ours = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
            .not_valid_before(ends - 30 * _DAY)
            .not_valid_after(ends)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ours), critical=False
            )
        )


class Terminator:
    """Speaks TLS in front of a server that does not.

    Args:
        context: How; None to pass on what comes, as it is.
        target: ``host:port`` of the server.
        port: To listen on; 0: any.

    Attributes:
        address: ``host:port`` that it listens on, once it does.
        met: How many clients came through their handshake.
    """

    def __init__(self, context: ssl.SSLContext | None, target: str, port: int = 0) -> None:
        self._context, self._target, self._port = context, target, port
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.address, self.met = "", 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self._port, ssl=self._context)
        self.address = f"{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        host, _, port = self._target.rpartition(":")
        onward, back = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(onward, writer))
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            for each in (back, writer):
                each.transport.abort()
            self._serving.discard(task)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()
