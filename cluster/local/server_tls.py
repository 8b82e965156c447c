"""TLS at the embedded servers: with the node's certificate, for whoever shows one of the same CA.

The broker and the store speak it themselves. The bundled Valkey is built without: ``roost-broker guard``
speaks it in front, and the cache listens on a socket in the data folder.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple, Self

from cluster.settings import Settings
from storage.access import Access

CACHE_SOCKET: Final = "redis.sock"


class ServerTls(NamedTuple):
    """The files of a server that speaks TLS, and of its clients.

    Attributes:
        ca: PEM file of the CA; each side shows a certificate of it.
        certificate: PEM file of the node's certificate.
        key: PEM file of its private key.
    """

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the files by the settings; None if embedded servers speak no TLS."""
        files = settings.node.embedded_files
        return None if files is None else cls(*files)

    def client(self) -> Access:
        """Return what a client needs that signs in as no one."""
        return Access(tls=True, ca=self.ca, certificate=self.certificate, key=self.key)

    def broker(self) -> tuple[str, ...]:
        """Return the options of ``roost-broker``."""
        return "-ca", str(self.ca), "-certificate", str(self.certificate), "-key", str(self.key)

    def secantus(self) -> tuple[str, ...]:
        """Return the options of SecantusDB."""
        own = ("--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key))
        return *own, "--tls-ca-file", str(self.ca), "--tls-require-client-cert"

    def mongod(self, pem: Path) -> tuple[str, ...]:
        """Return the options of ``mongod``, which wants key and certificate in one file; it is written."""
        with os.fdopen(os.open(pem, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self.key.read_bytes() + self.certificate.read_bytes())
        return "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(pem), "--tlsCAFile", str(self.ca)


def url_of(name: str, address: str, tls: ServerTls | None) -> str:
    """Return the URL of an embedded ``kafka``, ``mongo``, ``redis`` or ``fcm`` server at this address."""
    match name:
        case "mongo":
            return f"mongodb://{address}" if tls is None else f"mongodb://{address}/?tls=true"
        case "redis":
            return f"redis://{address}/0" if tls is None else f"rediss://{address}/0"
        case "fcm":
            return f"http://{address}" if tls is None else f"https://{address}"
    return address
