"""TLS contexts: one place says which versions and ciphers Roost speaks, and whom it believes."""

import ssl
from pathlib import Path

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Suites of TLS 1.2 with forward secrecy and authenticated encryption; those of 1.3 all have both."""


def client_context(
    ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """The context of a side that connects; it verifies the server's certificate and its name.

    Args:
        ca: PEM file of the authorities to believe; None for those of the machine.
        certificate: PEM file of the chain to show to a server that asks for one.
        key: PEM file of its private key; None if it is in the same file.

    Raises:
        OSError: A file cannot be read, or holds no PEM (`ssl.SSLError`).
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=None if ca is None else str(ca))
    return strengthened(context, certificate, key)


def trusting(*authorities: Path) -> ssl.SSLContext:
    """`client_context` that believes the authorities of the machine, and these.

    Args:
        authorities: PEM files.

    Raises:
        OSError: A file cannot be read, or holds no PEM (`ssl.SSLError`).
    """
    context = client_context()
    for file in authorities:
        context.load_verify_locations(file)
    return context


def server_context(
    certificate: Path, key: Path | None = None, client_ca: Path | None = None
) -> ssl.SSLContext:
    """The context of a side that is connected to.

    Args:
        certificate: PEM file of the chain to show.
        key: PEM file of its private key; None if it is in the same file.
        client_ca: PEM file of the authorities whose clients are let in; None to ask for no certificate.

    Raises:
        OSError: A file cannot be read, or holds no PEM (`ssl.SSLError`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.load_cert_chain(certificate, key, _no_password)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def strengthened(
    context: ssl.SSLContext, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return the context of a driver that makes its own, held to the terms of ours.

    Args:
        context: It verifies already.
        certificate: As in `client_context`.
        key: Likewise.

    Raises:
        OSError: A file cannot be read, or holds no PEM (`ssl.SSLError`).
    """
    _harden(context)
    if certificate is not None:
        context.load_cert_chain(certificate, key, _no_password)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _no_password() -> str:
    raise ssl.SSLError("the private key is encrypted; give one without a password")
