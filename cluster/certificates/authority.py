"""The private CA of one cluster: it is made once, and issues and renews the certificates of everything in it.

What a certificate is for stands in it twice. Its extended key usage says whether its holder may answer, ask
or both, which every TLS library checks; its URI ``roost:PURPOSE`` tells a node from all others, which links
check: neither the certificate of a gateway nor that of Prometheus passes for a role.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.certificates.files import CertificateError, issued_by, read_certificate, read_key, write_pair
from roost.node_certificate import PURPOSE_URI
from roost.owners import stranger

CA: Final = "ca"
"""Name of the CA's files."""

CA_DAYS: Final = 10 * 365
DAYS: Final = 90
"""How long a certificate is valid, unless told otherwise."""

_SKEW: Final = dt.timedelta(minutes=5)
"""By so much a certificate is valid before it was made, for nodes whose clocks are behind."""

_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DNS: Final = re.compile(
    r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
"""Ray's processes on a node reach each other there."""


class Purpose(StrEnum):
    """What a certificate is for."""

    NODE = "node"
    SERVER = "server"
    CLIENT = "client"


_USAGES: Final = {
    Purpose.NODE: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    Purpose.SERVER: (ExtendedKeyUsageOID.SERVER_AUTH,),
    Purpose.CLIENT: (ExtendedKeyUsageOID.CLIENT_AUTH,),
}


class Authority:
    """A CA with its private key, in a folder.

    Attributes:
        certificate: Its own.
    """

    def __init__(self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._folder, self._key = folder, key

    @classmethod
    def create(cls, folder: Path, cluster: str, now: dt.datetime, days: int = CA_DAYS) -> Self:
        """Make a CA in a folder of its own.

        Raises:
            CertificateError: There is one, or the folder is another user's.
        """
        for path in (folder / f"{CA}.crt", folder / f"{CA}.key"):
            if path.exists():
                raise CertificateError(
                    f"{path} is there already, and every certificate made with it would be void. "
                    "Use it, or choose another folder with --dir."
                )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_anothers(folder)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Roost CA of {cluster}"[:64])])
        built = (
            _dated(name, name, key, now, now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        ).sign(key, hashes.SHA256())
        write_pair(folder, CA, _pem(built), key)
        return cls(folder, built, key)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the CA in a folder.

        Raises:
            CertificateError: There is none, it cannot be used, or it is another user's.
        """
        if not (folder / f"{CA}.key").exists():
            raise CertificateError(
                f"There is no CA in {folder}: make one with `roost certs init --dir {folder}`, "
                "or name its folder with --dir."
            )
        _refuse_anothers(folder)
        _refuse_anothers(folder / f"{CA}.key")
        return cls(folder, read_certificate(folder / f"{CA}.crt"), read_key(folder / f"{CA}.key"))

    def issue(
        self, name: str, places: Sequence[str], purpose: Purpose, now: dt.datetime, days: int = DAYS
    ) -> x509.Certificate:
        """Make ``NAME.crt`` and ``NAME.key``.

        Args:
            name: Of the files.
            places: Host names and IP addresses under which its holder is reached.
            purpose: What it is for.
            now: The time.
            days: How long it is valid; never longer than the CA.

        Raises:
            CertificateError: It exists, or a name is none.
        """
        if not _FILE.fullmatch(name) or name == CA:
            raise CertificateError(f"{name!r} is no name for files: use letters, digits, dots and hyphens.")
        if (self._folder / f"{name}.crt").exists():
            raise CertificateError(
                f"{self._folder / name}.crt is there already. Renew it with `roost certs renew {name}`, "
                "or delete it and its key first to give it other names."
            )
        if not places and purpose is not Purpose.CLIENT:
            raise CertificateError(
                f"A {purpose} is reached by name or address: give one, such as "
                f"`roost certs issue {name} 10.0.0.11`."
            )
        extra = _THIS_MACHINE if purpose is Purpose.NODE else ()
        return self._make(name, [*dict.fromkeys((*places, *extra))], purpose, now, days)

    def renew(self, name: str, now: dt.datetime, days: int = DAYS) -> x509.Certificate:
        """Make a certificate again, with a new key and the names and the purpose that it has.

        Raises:
            CertificateError: It is not there, or not one of this CA.
        """
        path = self._folder / f"{name}.crt"
        old = read_certificate(path)
        if name == CA or not issued_by(old, [self.certificate]):
            raise CertificateError(f"{path} was not issued by the CA in {self._folder}.")
        return self._make(name, places_of(old), purpose_of(old), now, days)

    def _make(
        self, name: str, places: Sequence[str], purpose: Purpose, now: dt.datetime, days: int
    ) -> x509.Certificate:
        ends = min(now + dt.timedelta(days=days), self.certificate.not_valid_after_utc)
        if ends <= now:
            raise CertificateError(
                f"The CA in {self._folder} ended on {ends:%Y-%m-%d}: make another one in a new folder with "
                "`roost certs init`, and put both into the file of the CA while nodes change over."
            )
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.UniformResourceIdentifier(PURPOSE_URI + purpose), *map(_general_name, places)]
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = (
            _dated(subject, self.certificate.subject, key, now, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_USAGES[purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
            )
        ).sign(self._key, hashes.SHA256())
        write_pair(self._folder, name, _pem(built), key)
        return built


def places_of(certificate: x509.Certificate) -> list[str]:
    """Return the host names and IP addresses that a certificate is for."""
    names = _alternatives(certificate)
    if names is None:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def purpose_of(certificate: x509.Certificate) -> Purpose:
    """Return what a certificate is for.

    Raises:
        CertificateError: It does not say: `roost certs` has not made it.
    """
    names = _alternatives(certificate)
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else ():
        if uri.removeprefix(PURPOSE_URI) in list(Purpose):
            return Purpose(uri.removeprefix(PURPOSE_URI))
    raise CertificateError("It does not say what it is for: `roost certs` has not made it.")


def _alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _general_name(place: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(place))
    except ValueError:
        pass
    if len(place) > 253 or not _DNS.fullmatch(place):  # noqa: PLR2004 -- RFC 1035, 2.3.4
        raise CertificateError(
            f"{place!r} is neither a host name nor an IP address; write a name in another script in its "
            "xn-- form, and no port."
        )
    return x509.DNSName(place)


def _refuse_anothers(path: Path) -> None:
    if (owner := stranger(path)) is not None:
        raise CertificateError(
            f"{path} belongs to the user {owner}, who would have every node that believes this CA. "
            "Run this as that user, or choose another folder with --dir."
        )


def _dated(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    ends: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(ends)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
