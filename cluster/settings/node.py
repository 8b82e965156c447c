"""Settings of a node's certificate of the cluster's own CA."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from cluster.settings.group import Group

_MAKE = "`roost certs` makes one."


class Node(Group):
    """Encryption between nodes, and proof of each to the other."""

    ca: Path | None = Field(
        None, description=f"PEM file of the cluster's own CA, the only one that nodes believe. {_MAKE}"
    )
    certificate: Path | None = Field(
        None,
        description="PEM file with this node's certificate of that CA. Links between roles, the scrape "
        "target and the Ray that `roost up` starts are encrypted with it, and ask the other side for one. "
        "None: they are not encrypted, and stay on loopback.",
    )
    key: Path | None = Field(None, description="PEM file with its private key.")
    embedded: bool = Field(
        False,  # noqa: FBT003 -- a default
        description="Whether the embedded servers, too, speak TLS with this certificate, and ask the roles "
        "for theirs. Without it they listen on loopback all the same, and ask for a password.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = [self.ca, self.certificate, self.key]
        if None in given and any(given):
            raise ValueError("a node needs all of ca, certificate and key: set the three, or none")
        if self.embedded and None in given:
            raise ValueError("embedded is for servers with the node's certificate: set that, ca and key")
        return self

    @property
    def files(self) -> tuple[Path, Path, Path] | None:
        """CA, certificate and key; None if there are none."""
        if self.ca is None or self.certificate is None or self.key is None:
            return None
        return self.ca, self.certificate, self.key

    @property
    def embedded_files(self) -> tuple[Path, Path, Path] | None:
        """The same for embedded servers, None if they speak no TLS."""
        return self.files if self.embedded else None
