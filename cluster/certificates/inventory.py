"""The certificates in a folder, as `roost certs show` lists them."""

import datetime as dt
from pathlib import Path

from msgspec import Struct

from cluster.certificates.authority import CA, places_of, purpose_of
from cluster.certificates.files import CertificateError, read_certificate


class Held(Struct, frozen=True):
    """One certificate.

    Attributes:
        name: Of its files.
        purpose: ``ca``, or what it was issued for.
        places: The host names and IP addresses that it is for.
        until: When it ends.
        days_left: Whole days until then; negative: it has ended.
    """

    name: str
    purpose: str
    places: list[str]
    until: dt.datetime
    days_left: int


def held(folder: Path, now: dt.datetime) -> list[Held]:
    """Return every certificate in the folder, the CA first.

    Raises:
        CertificateError: A file is no certificate.
    """
    paths = sorted(folder.glob("*.crt"), key=lambda path: (path.stem != CA, path.stem))
    return [_describe(path, now) for path in paths]


def _describe(path: Path, now: dt.datetime) -> Held:
    certificate = read_certificate(path)
    try:
        purpose: str = CA if path.stem == CA else purpose_of(certificate)
    except CertificateError:
        purpose = "other"
    until = certificate.not_valid_after_utc
    return Held(path.stem, purpose, places_of(certificate), until, (until - now).days)
