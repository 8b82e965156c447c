"""Checks of the node's certificate: whether it can be used, whom it proves, and how long it is valid."""

import datetime as dt
import stat
from pathlib import Path
from typing import Final

from cryptography import x509

from cluster.certificates import CertificateError, Purpose
from cluster.certificates.authority import places_of, purpose_of
from cluster.certificates.files import issued_by, read_certificate, read_certificates
from cluster.doctor.finding import Finding, failed, ok, warning
from cluster.settings import Settings
from roost.node_certificate import NodeCertificate

CHECK: Final = "node certificate"
_SOON: Final = dt.timedelta(days=14)
_CA_SOON: Final = dt.timedelta(days=180)
_RENEW: Final = (
    "Run `roost certs renew` where the CA is, and copy the new files here: links and the scrape target take "
    "them from the next connection on, Ray's daemons when they start."
)
_OWN: Final = (
    "Set ROOST_NODE__CA, ROOST_NODE__CERTIFICATE and ROOST_NODE__KEY to what `roost certs issue` made for "
    "this node."
)


def node_certificate(settings: Settings, now: dt.datetime) -> Finding:
    """Judge it, and the CA that it is from."""
    files = settings.node.files
    if files is None:
        return ok(CHECK, "none; nothing between nodes is encrypted")
    ca, certificate, key = files
    try:
        NodeCertificate(*files)
        found, authorities = read_certificate(certificate), read_certificates(ca)
        purpose = purpose_of(found)
    except (OSError, CertificateError) as exc:
        return failed(CHECK, f"{certificate}, {key} and {ca} cannot be used: {exc}", _OWN)
    if purpose is not Purpose.NODE:
        return failed(CHECK, f"{certificate} is for a {purpose}, not for a node", _OWN)
    if not issued_by(found, authorities):
        return failed(CHECK, f"{certificate} is not of the CA in {ca}", _OWN)
    if stat.S_IMODE(key.stat().st_mode) & 0o077:
        return warning(CHECK, f"others can read {key}", f"Run: chmod 600 {key}")
    return _age(certificate, found, max(each.not_valid_after_utc for each in authorities), now)


def _age(path: Path, found: x509.Certificate, ends: dt.datetime, now: dt.datetime) -> Finding:
    """Judge how long it is valid, and its CA, which ends then."""
    until = found.not_valid_after_utc
    places = ", ".join(places_of(found))
    detail = f"{path}, valid until {until:%Y-%m-%d} ({(until - now).days} days), for {places}"
    if not found.not_valid_before_utc <= now < until:
        return failed(CHECK, f"not valid now: {detail}", _RENEW)
    if until - now < _SOON:
        return warning(CHECK, f"it ends soon: {detail}", _RENEW)
    if ends - now < _CA_SOON:
        return warning(
            CHECK,
            f"the CA of {path} ends on {ends:%Y-%m-%d}",
            "Make another one (`roost certs init --dir NEW`) and put both into the file of the CA on every "
            "node; then give the nodes certificates of the new one.",
        )
    return ok(CHECK, f"{detail}; its CA until {ends:%Y-%m-%d}")
