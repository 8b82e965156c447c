"""Access to a server underneath: whom a client believes, and what it shows of itself."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from roost.tls import client_context


@dataclass(frozen=True, slots=True)
class Access:
    """What a client needs besides an address.

    Attributes:
        user: Who signs in; None for no one.
        password: That user's.
        mechanism: How, where the protocol leaves a choice (Kafka).
        tls: Whether the connection is encrypted, where the address does not say so (Kafka).
        ca: PEM file of the authorities to believe; None for those of the machine.
        certificate: PEM file of the chain to show.
        key: PEM file of its private key; None if it is in the same file.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: str = "SCRAM-SHA-512"
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context of a connection with TLS, from the files as they are now.

        Raises:
            OSError: A file cannot be read, or holds no PEM.
        """
        return client_context(self.ca, self.certificate, self.key)


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """What a client of a bucket needs besides its URL.

    Attributes:
        options: Options of the cloud's client, for example its credentials. What is not in it is taken from
            the environment, or from what the machine or pod is given by its cloud.
        ca: PEM file of authorities to believe besides those of the machine; None for no others.
        cleartext: Whether the server is reached without TLS.
    """

    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: Path | None = None
    cleartext: bool = False


OPEN = Access()
"""No password and no TLS: for a server on this machine."""
