"""Certificates and private keys as files: complete or absent, and keys for their owner alone."""

import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


class CertificateError(Exception):
    """A certificate cannot be made or used; the sentences say why and what to do."""


def write_pair(folder: Path, name: str, chain: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    """Write ``NAME.key`` and ``NAME.crt``, in place of those that were there.

    Whoever loads them in between finds a pair that does not fit, keeps what it has, and looks again.
    """
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _put(folder / f"{name}.key", secret, 0o600)
    _put(folder / f"{name}.crt", chain, 0o644)


def read_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file; raises as `read_certificates` does."""
    return read_certificates(path)[0]


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Read every certificate of a PEM file.

    Raises:
        CertificateError: There is none.
    """
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as exc:
        raise CertificateError(f"The certificate {path} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise CertificateError(f"{path} is not a certificate in PEM.") from exc


def issued_by(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> bool:
    """Return whether one of these CAs signed the certificate."""
    for each in authorities:
        try:
            certificate.verify_directly_issued_by(each)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key that only its owner can read.

    Raises:
        CertificateError: There is none, or others can read it.
    """
    try:
        mode, content = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
    except OSError as exc:
        raise CertificateError(f"The private key {path} cannot be read: {exc.strerror}.") from exc
    if mode & 0o077:
        raise CertificateError(f"The private key {path} can be read by others. Fix it with: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError) as exc:
        raise CertificateError(f"{path} is not a private key in PEM without a password.") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{path} is not a key on an elliptic curve, as `roost certs` makes them.")
    return key


def _put(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
