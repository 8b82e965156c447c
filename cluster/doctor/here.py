"""Checks of this machine: packages, folder, limits, key ring, certificate, credential."""

import datetime as dt
import json
import os
import platform
import resource
import shutil
import ssl
import stat
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from cluster import key_ring as key_ring_file
from cluster.doctor.cleartext import clients, is_loopback
from cluster.doctor.finding import Finding, failed, ok, warning
from cluster.folders import of_another
from cluster.settings import Settings
from storage.keyring import KeyRing, KeyRingError

_ROOM_FAILS: Final = 256 * 1024**2
_ROOM_WARNS: Final = 2 * 1024**3
_FILES_FAIL: Final = 256
_FILES_WARN: Final = 4096
_EXPIRES_SOON: Final = dt.timedelta(days=14)
_GOOGLE: Final = "https://fcm.googleapis.com"
_CREDENTIAL: Final = ("private_key", "client_email", "token_uri", "project_id")


def versions() -> Finding:
    """Whether Python and every package are as this installation of ours asks."""
    ours = metadata.metadata("roost")
    wrong = list(_wrong_packages(metadata.requires("roost") or []))
    python = platform.python_version()
    if python not in SpecifierSet(ours["Requires-Python"]):
        wrong.insert(0, f"Python {python} (wanted {ours['Requires-Python']})")
    if wrong:
        return failed(
            "versions",
            ", ".join(wrong),
            f"Install what roost {ours['Version']} asks for: pip install roost=={ours['Version']}, "
            "with its constraints.txt.",
        )
    return ok("versions", f"roost {ours['Version']}, Python {python}, ray {metadata.version('ray')}")


def _wrong_packages(requirements: list[str]) -> Iterator[str]:
    for wanted in map(Requirement, requirements):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield f"{wanted.name} {found} (wanted {wanted.specifier})"


def folder(settings: Settings) -> Finding:
    """Whether the data folder can be written, or made."""
    data = settings.data
    if (refusal := of_another(data)) is not None:
        return failed("data folder", *refusal)
    try:
        with tempfile.TemporaryFile(dir=_there(data)) as file:
            file.write(b"roost")
    except OSError as exc:
        return failed(
            "data folder",
            f"{data} cannot be written: {exc.strerror}",
            f"Make it writable for user {os.getuid()}, or choose another folder with --data or ROOST_DATA.",
        )
    if data.exists() and stat.S_IMODE(data.stat().st_mode) & 0o077:
        return warning("data folder", f"other users can look into {data}", f"Run: chmod 700 {data}")
    return ok("data folder", f"{data} can be written")


def room(settings: Settings) -> Finding:
    """Whether the disk of the data folder has room."""
    place = _there(settings.data)
    free = shutil.disk_usage(place).free
    detail = f"{free / 1024**3:.1f} GiB free at {place}"
    fix = "Make room on this disk, or move the data folder to a larger one with ROOST_DATA."
    if free < _ROOM_FAILS:
        return failed("disk", detail, fix)
    return warning("disk", detail, fix) if free < _ROOM_WARNS else ok("disk", detail)


def _there(data: Path) -> Path:
    """Return the folder, or what there is of the way to it."""
    return next(each for each in (data, *data.parents) if each.exists())


def open_files() -> Finding:
    """Whether a gateway may have enough sockets open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ok("open files", "no limit for each process")
    detail = f"{soft} for each process, so a gateway holds fewer than {soft} clients"
    fix = (
        f"Raise it before the start, with `ulimit -n 65536` (this shell may up to {hard}) or "
        "LimitNOFILE=65536 in the unit."
    )
    if soft < _FILES_FAIL:
        return failed("open files", detail, fix)
    return warning("open files", detail, fix) if soft < _FILES_WARN else ok("open files", detail)


# --- secrets --------------------------------------------------------------------------------------


def key_ring(settings: Settings) -> tuple[Finding, KeyRing | None]:
    """Whether the key ring can be used; and the ring."""
    path = settings.keyring_file
    if not path.exists():
        if settings.cluster.address is not None:
            return failed(
                "key ring",
                f"{path} is not there, and this node joins a cluster",
                f"Copy the cluster's key ring to {path} on each node, with mode 0600.",
            ), None
        return _first_ring(settings), None
    try:
        ring = key_ring_file.load(settings)
    except KeyRingError as exc:
        return _unusable_ring(settings, str(exc)), None
    content = ring.secrets
    detail = (
        f"{path}, fingerprint {content.installation}, change {content.serial}, {len(content.keys)} key(s)"
    )
    if content.lenient:
        fix = (
            "Once every process runs this release: roost keys reencrypt. Until then unsealed names are read."
        )
        return warning("key ring", detail, fix), ring
    return ok("key ring", detail), ring


def _first_ring(settings: Settings) -> Finding:
    master = key_ring_file.master_of(settings)
    try:
        if master is not None:
            master()
    except KeyRingError as exc:
        return _unusable_ring(settings, str(exc))
    return ok("key ring", f"{settings.keyring_file} will be made at the first start")


def _unusable_ring(settings: Settings, why: str) -> Finding:
    if "chmod" in why:
        return failed("key ring", why, "Run: chmod" + why.rpartition("chmod")[2])
    if "master key" in why:
        return failed(
            "key ring", why, "See that this process is given the master key (ROOST_KEYRING__MASTER_...)."
        )
    restore = f"Restore {settings.keyring_file} from your backup: nothing else opens what was sealed with it."
    return failed("key ring", why, restore)


def certificate(settings: Settings, now: dt.datetime) -> Finding:
    """Whether clients' connections are encrypted, with a certificate that they will take."""
    tls = settings.tls
    if tls.certificate is None:
        if (exposed := clients(settings)) is not None:
            return exposed
        if is_loopback(settings.http.host):
            return ok("certificate", "none; the API listens on loopback only")
        return ok("certificate", "none; a proxy in front does TLS, as ROOST_HTTP__INSECURE says")
    for finding in unusable_certificate(settings):
        return finding
    found = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    return _judge_certificate(found, settings, now)


def unusable_certificate(settings: Settings) -> Iterator[Finding]:
    """Yield what keeps every gateway from starting, if anything does."""
    tls = settings.tls
    if tls.certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, _no_password)
        x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    except (OSError, ValueError) as exc:
        yield failed("certificate", *_unusable(settings, exc))


def _no_password() -> str:
    """Refuse to ask for one at a terminal, which OpenSSL does otherwise."""
    raise ValueError("the private key is encrypted: decrypt it, with mode 0600")


def _judge_certificate(found: x509.Certificate, settings: Settings, now: dt.datetime) -> Finding:
    tls, name = settings.tls, settings.server_name
    until = found.not_valid_after_utc
    detail = f"{tls.certificate}, valid until {until:%Y-%m-%d}, for {', '.join(_names(found)) or 'no name'}"
    renew = f"Renew {tls.certificate}: gateways take it from the next connection on."
    if not found.not_valid_before_utc <= now < until:
        return failed("certificate", f"not valid now: {detail}", renew)
    if tls.key is not None and stat.S_IMODE(tls.key.stat().st_mode) & 0o077:
        return warning("certificate", f"others can read {tls.key}", f"Run: chmod 600 {tls.key}")
    if until - now < _EXPIRES_SOON:
        return warning("certificate", f"it ends soon: {detail}", renew)
    if not any(_covers(each, name) for each in _names(found)):
        return warning(
            "certificate",
            f"it is not for {name}: {detail}",
            f"Use a certificate for {name}, unless clients reach this API under another name.",
        )
    return ok("certificate", detail)


def _unusable(settings: Settings, exc: Exception) -> tuple[str, str]:
    tls = settings.tls
    if tls.key is None and isinstance(exc, ssl.SSLError) and _is_without_key(tls.certificate):
        return f"{tls.certificate} has no private key in it", "Set ROOST_TLS__KEY to the file that has it."
    if isinstance(exc, ssl.SSLError) and "KEY_VALUES_MISMATCH" in str(exc):
        return (
            f"{tls.key} is not the key of {tls.certificate}",
            "Set ROOST_TLS__KEY to the key that this certificate was made for.",
        )
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return (
        f"{tls.certificate} and {tls.key or 'no key'} cannot be used: {reason}",
        "Set ROOST_TLS__CERTIFICATE to a PEM chain and ROOST_TLS__KEY to its private key, both readable.",
    )


def _is_without_key(chain: Path | None) -> bool:
    content = b"" if chain is None else chain.read_bytes()
    return b"BEGIN CERTIFICATE" in content and b"PRIVATE KEY" not in content


def _names(found: x509.Certificate) -> list[str]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]


def _covers(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.partition(".")[2].lower() == pattern[2:].lower()
    return pattern.lower() == name.lower()


def push_credential(settings: Settings) -> tuple[Finding, str]:
    """Whether the service account can be used; and where pushes go, '' if there is no use in asking."""
    fcm, path = settings.fcm, settings.fcm.credentials_file
    if path is None:
        alone = "tokens of FCM are refused, Web Push alone wakes"
        shown = "the embedded endpoint shows the pushes" if settings.cluster.address is None else alone
        return ok("push credential", f"none; {shown}"), ""
    if wrong := _wrong_credential(path):
        fix = "Set ROOST_FCM__CREDENTIALS_FILE to a service-account key file (JSON) of your Firebase project."
        return failed("push credential", wrong, fix), ""
    project = fcm.project or "that of the file"
    return ok("push credential", f"{path}, project {project}"), fcm.endpoint or _GOOGLE


def _wrong_credential(path: Path) -> str:
    """Return what is wrong with the file, '' if nothing is."""
    try:
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        return f"{path} {f'cannot be read: {exc.strerror}' if isinstance(exc, OSError) else 'is not JSON'}"
    kind = found.get("type") if isinstance(found, dict) else type(found).__name__
    if kind != "service_account":
        return f"{path} is of type {kind}, not service_account"
    if missing := [each for each in _CREDENTIAL if not found.get(each)]:
        return f"{path} has no {', '.join(missing)}"
    try:
        serialization.load_pem_private_key(str(found["private_key"]).encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return f"the private_key in {path} is not a key in PEM"
    return ""


def place_of(url: str) -> tuple[str, int]:
    """Return host and port of an ``http(s)`` URL."""
    parts = urlsplit(url)
    usual = 443 if parts.scheme == "https" else 80
    return parts.hostname or "", usual if parts.port is None else parts.port
