"""Certificates for tests, made by what `roost certs` uses."""

import datetime as dt
from pathlib import Path

from cluster.certificates import Authority, Purpose
from roost.node_certificate import NodeCertificate

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


class Issued:
    """A CA in a folder, which issues whatever is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = Authority.create(folder, "tests", NOW)
        self.ca = folder / "ca.crt"

    def pair(
        self,
        name: str,
        *places: str,
        purpose: Purpose = Purpose.NODE,
        now: dt.datetime = NOW,
    ) -> tuple[Path, Path]:
        """Return certificate and key of this name, made if they are not there."""
        if not (self.folder / f"{name}.crt").exists():
            self._authority.issue(name, places, purpose, now)
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def renewed(self, name: str) -> None:
        """Replace a certificate."""
        self._authority.renew(name, NOW)

    def node(self, name: str = "node", *places: str) -> NodeCertificate:
        """Return the certificate of a node at these addresses, or on this machine."""
        return NodeCertificate(self.ca, *self.pair(name, *(places or ("127.0.0.1",))))
