"""A node's certificate of the cluster's own CA, as both ends of a connection between nodes use it.

With it a node proves itself to the others, whichever side connects, and all between them is encrypted.
The CA also issues certificates for servers, and for clients of scrape targets; `is_node` tells them apart.
"""

import ssl
from functools import partial
from pathlib import Path
from typing import Final

from roost.tls import client_context
from roost.tls_files import Followed, followed_server_context

PURPOSE_URI: Final = "roost:"
"""A certificate's URI is this and its purpose."""

_NODE: Final = ("URI", f"{PURPOSE_URI}node")


class NodeCertificate:
    """Contexts for both ends; they follow the files, so that a renewed certificate is used from then on.

    Args:
        ca: PEM file of the cluster's CA: no other is believed.
        certificate: PEM file of the node's certificate.
        key: PEM file of its private key.

    Raises:
        OSError: A file cannot be read, or holds no PEM.
    """

    def __init__(self, ca: Path, certificate: Path, key: Path) -> None:
        self._client = Followed(partial(client_context, ca, certificate, key), (ca, certificate, key))
        self._server = followed_server_context(certificate, key, ca)

    def client(self) -> ssl.SSLContext:
        """Return the context to connect with; it verifies the other side's certificate and its address."""
        return self._client.newest()

    def server(self) -> ssl.SSLContext:
        """Return the context to listen with; it lets in whoever has a certificate of the CA for clients."""
        return self._server


def is_node(connection: ssl.SSLObject) -> bool:
    """Return whether the other side's certificate, which was verified, is one of a node."""
    return _NODE in (connection.getpeercert() or {}).get("subjectAltName", ())
