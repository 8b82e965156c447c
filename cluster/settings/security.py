"""Settings of the connections to servers of one's own: whom to believe, and how to prove oneself."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PlainSerializer, SecretStr, model_validator

from cluster.settings.group import Group
from storage.access import Access

Secret = Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value, when_used="json")]
"""A setting that is shown to no one; the JSON that roles are handed has it."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_secret(path: Path) -> str:
    """Return what a file holds that is for this user alone, without the end of its line.

    Raises:
        OSError: It cannot be read, is empty, or others may read it.
    """
    with path.open() as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise PermissionError(f"others may read {path}; run: chmod 600 {path}")
        secret = file.read().strip("\r\n")
    if not secret:
        raise PermissionError(f"{path} is empty")
    return secret


class Security(Group):
    """How a server and the roles prove themselves to each other."""

    ca: Path | None = Field(
        None,
        description="PEM file of the authorities whose certificates the server may show. None: those of the "
        "machine. Needs TLS.",
    )
    certificate: Path | None = Field(
        None, description="PEM file of the chain that the roles show to the server. Needs TLS."
    )
    key: Path | None = Field(
        None, description="PEM file of its private key. None: it is in the file of the chain."
    )
    user: str | None = Field(None, description="Name that the roles sign in with. None: no one's.")
    password: Secret | None = Field(None, description="Password of that user; better in a file.")
    password_file: Path | None = Field(
        None,
        description="File with that password, which no other user may read, at the same path on every node.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("there is a key, and no certificate: set both, or neither")
        if self.password is not None and self.password_file is not None:
            raise ValueError("there is a password, and a file with one: set either")
        return self

    def access(self) -> Access:
        """Return what a client needs besides the address; raises as `read_password` does."""
        return Access(
            user=self.user,
            password=self.read_password(),
            ca=self.ca,
            certificate=self.certificate,
            key=self.key,
        )

    @property
    def needs_tls(self) -> bool:
        """Whether something is set that means nothing without TLS."""
        return self.ca is not None or self.certificate is not None

    def read_password(self) -> str | None:
        """Return the password, from its file if there is one.

        Raises:
            OSError: The file cannot be read, is empty, or others may read it.
        """
        if self.password_file is None:
            return None if self.password is None else self.password.get_secret_value()
        return read_secret(self.password_file)


class KafkaSecurity(Security):
    """How the brokers and the roles prove themselves to each other."""

    tls: bool = Field(
        False,  # noqa: FBT003 -- a default
        description="Whether connections to the brokers are encrypted, and their certificates verified.",
    )
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="How the user signs in to the brokers; PLAIN shows them the password."
    )

    def access(self) -> Access:
        """Return what a client needs besides the address; raises as `read_password` does."""
        return replace(super().access(), tls=self.tls, mechanism=self.mechanism)

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.needs_tls and not self.tls:
            raise ValueError("ca and certificate are for TLS: set ROOST_KAFKA__SECURITY__TLS=true as well")
        return self


class Cleartext(Group):
    """Exceptions from the rule that nothing leaves this machine unencrypted."""

    servers_insecure: bool = Field(
        False,  # noqa: FBT003 -- likewise
        description="Whether Kafka, MongoDB, Redis, the bucket of media, FCM and the trace collector may be "
        "reached over a network without TLS, or with a certificate that is not verified. Whoever is on the "
        "way reads and changes everything.",
    )
