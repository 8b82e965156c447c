"""The user of the embedded store, made before anyone else can reach it.

Neither SecantusDB nor ``mongod`` is told a password at its start: a user is made by a client, and until then
everyone is let in. So the store runs once with a certificate of the moment, which a client must show as well,
and is started again as it serves: with passwords.
"""

import asyncio
import datetime as dt
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster.local.passwords import USER

_MARK: Final = "roost-user"
"""File beside the store's own: digest of the password that its user has."""

_ROLE: Final = "readWriteAnyDatabase"
_WITHIN_MS: Final = 10_000

Running = Callable[[tuple[str, ...]], Awaitable[Callable[[], Awaitable[Any]]]]
"""Starts the store with these further options, and returns what stops it."""

TlsOptions = Callable[[Path], tuple[str, ...]]
"""The store's options for TLS with this PEM file, which clients must show a certificate of."""


async def ensure(data: Path, password_file: Path, address: str, running: Running, tls: TlsOptions) -> None:
    """Return when the store in the folder has a user with this password.

    Args:
        data: The store's folder.
        password_file: Of mode 0600.
        address: Where it listens meanwhile.
        running: Starts it.
        tls: Its options.

    Raises:
        ServerFailed: It did not start.
        PyMongoError: It made no user.
    """
    password, mark = _read(password_file), data / _MARK
    digest = hashlib.sha256(password.encode()).hexdigest()
    if _read(mark) == digest:
        return
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="store-user-") as folder:
        pem = Path(folder) / "moment.pem"
        _write(pem, _certificate_of_the_moment())
        stop = await running(tls(pem))
        try:
            await asyncio.to_thread(_make, address, pem, password)
        finally:
            await stop()
    _write(mark, digest.encode())


def _read(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def _write(file: Path, content: bytes) -> None:
    file.touch(0o600)
    file.write_bytes(content)


def _make(address: str, pem: Path, password: str) -> None:
    from pymongo import MongoClient  # noqa: PLC0415 -- at the first start only

    client: Any = MongoClient(
        f"mongodb://{address}",
        directConnection=True,
        serverSelectionTimeoutMS=_WITHIN_MS,
        tls=True,
        tlsCAFile=str(pem),
        tlsCertificateKeyFile=str(pem),
    )
    with client:
        # Whoever came before there were passwords may have made users of his own.
        for each in client.admin["system.users"].find():
            client[each["db"]].command("dropUser", each["user"])
        roles = [{"role": _ROLE, "db": "admin"}]
        client.admin.command("createUser", USER, pwd=password, roles=roles)


def _certificate_of_the_moment() -> bytes:
    """Return a private key and its certificate, which is its own authority and good for loopback."""
    from ipaddress import ip_address  # noqa: PLC0415 -- at the first start only

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "roost store, first start")])
    now = dt.datetime.now(dt.UTC)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    use = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(loopback, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(use, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
