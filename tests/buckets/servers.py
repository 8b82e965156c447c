"""Servers that speak as S3, GCS and Azure do, with TLS, and a bucket in each.

versitygw and Azurite check who signs in; fake-gcs-server takes everyone.
"""

import base64
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from cluster.local.servers import HOST, Server, ServerSpec, accepts, free_port
from storage.access import BucketAccess
from tests.buckets.install import AZURITE, BINARIES
from tests.certificates import Issued
from tests.real_servers import Servers

BUCKET: Final = "roost-media"
KEY_ID: Final = "roost"
ACCOUNT: Final = "devstoreaccount1"
"""Azurite's own; its key is in Azurite's manual."""

_ACCOUNT_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_AZURE_VERSION: Final = "2021-08-06"
_READY_S: Final = 90.0


@dataclass
class Bucket:
    """A bucket that is there.

    Attributes:
        server: Who serves it.
        scheme: Of its URL.
        access: What a client needs.
        endpoint: The option that has the server's address.
    """

    server: Server
    scheme: str
    access: BucketAccess
    endpoint: str = "endpoint"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{BUCKET}"

    def changed(self, **options: str) -> BucketAccess:
        return BucketAccess({**self.access.options, **options}, self.access.ca, self.access.cleartext)

    def at(self, address: str) -> BucketAccess:
        """Return the access by another address of the server, as a proxy has."""
        before = self.access.options[self.endpoint]
        return self.changed(**{self.endpoint: before.replace(self.server.spec.address, address)})


def s3(servers: Servers, folder: Path, issued: Issued | None) -> Bucket:
    """Start versitygw on a folder; without certificates it speaks plain HTTP."""
    port, secret = free_port(), secrets.token_hex(20)
    (folder / "s3" / BUCKET).mkdir(parents=True)
    tls = _files(issued, "--cert", "--key")
    spec = ServerSpec(
        "s3",
        (
            *(str(BINARIES / "versitygw"), "--port", f"{HOST}:{port}", "--quiet", *tls),
            *("posix", str(folder / "s3")),
        ),
        port,
        accepts,
        folder / "s3.log",
        {"ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": secret},
        ready_s=_READY_S,
    )
    options = {"access_key_id": KEY_ID, "secret_access_key": secret, "region": "us-east-1"}
    return _bucket(servers.start(spec), "s3", options, issued)


def gcs(servers: Servers, folder: Path, issued: Issued | None) -> Bucket:
    """Start fake-gcs-server on a folder."""
    port = free_port()
    (folder / "gcs" / BUCKET).mkdir(parents=True)
    tls = _files(issued, "-certificate", "-key")
    spec = ServerSpec(
        "gcs",
        (str(BINARIES / "gcs"), "-address", f"{HOST}:{port}", "-folder", str(folder / "gcs"), *tls),
        port,
        accepts,
        folder / "gcs.log",
        ready_s=_READY_S,
    )
    return _bucket(servers.start(spec), "gs", {"bearer_token": secrets.token_hex(20)}, issued, "base_url")


def azure(servers: Servers, folder: Path, issued: Issued | None) -> Bucket:
    """Start Azurite on a folder, and make a container."""
    port, location = free_port(), folder / "azure"
    tls = _files(issued, "--cert", "--key")
    spec = ServerSpec(
        "azure",
        (
            *("node", str(AZURITE), "--blobHost", HOST, "--blobPort", str(port), *tls),
            *("--location", str(location), "--silent", "--disableTelemetry"),
        ),
        port,
        accepts,
        folder / "azure.log",
        ready_s=_READY_S,
    )
    options = {"account_name": ACCOUNT, "account_key": _ACCOUNT_KEY}
    bucket = _bucket(servers.start(spec), "az", options, issued)
    _make_container(bucket.access)
    return bucket


MAKERS: Final[dict[str, Callable[[Servers, Path, Issued | None], Bucket]]] = {
    "s3": s3,
    "gcs": gcs,
    "azure": azure,
}


def _files(issued: Issued | None, certificate: str, key: str) -> tuple[str, ...]:
    if issued is None:
        return ()
    files = issued.pair("bucket", HOST)
    return (certificate, str(files[0]), key, str(files[1]))


def _bucket(
    server: Server, scheme: str, options: dict[str, str], issued: Issued | None, endpoint: str = "endpoint"
) -> Bucket:
    path = f"/{ACCOUNT}" if scheme == "az" else ""
    address = f"{'http' if issued is None else 'https'}://{server.spec.address}{path}"
    ca = None if issued is None else issued.ca
    access = BucketAccess({**options, endpoint: address}, ca, cleartext=issued is None)
    return Bucket(server, scheme, access, endpoint)


def _make_container(access: BucketAccess) -> None:
    """Make the container, signed with the account's key as Azure's manual says; obstore makes none."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _AZURE_VERSION}
    resource = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT" + "\n" * 12 + "".join(f"{name}:{value}\n" for name, value in headers.items()) + resource
    key = base64.b64decode(_ACCOUNT_KEY)
    signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
    headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"}
    url = f"{access.options['endpoint']}/{BUCKET}?restype=container"
    context = None if access.ca is None else ssl.create_default_context(cafile=str(access.ca))
    with urlopen(Request(url, method="PUT", headers=headers), context=context) as answer:
        assert answer.status == 201
