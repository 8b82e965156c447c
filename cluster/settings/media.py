"""Settings of media: where the bytes go, how much a user may keep, and for how long."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, Field

from cluster.settings.addresses import MediaUrl
from cluster.settings.group import Group
from cluster.settings.security import read_secret
from storage.access import BucketAccess

_ENDPOINTS: Final = ("endpoint", "endpoint_url", "endpoint_url_s3", "base_url")
_PREFIXES: Final = ("aws_", "azure_storage_", "azure_", "google_")
_OF_THE_CONNECTION: Final = frozenset(
    {
        *("allow_http", "allow_invalid_certificates", "connect_timeout", "default_content_type"),
        *("http1_only", "http2_keep_alive_interval", "http2_keep_alive_timeout", "http2_only"),
        *("http2_keep_alive_while_idle", "http2_max_frame_size", "pool_idle_timeout"),
        *("pool_max_idle_per_host", "proxy_ca_certificate", "proxy_excludes", "proxy_url"),
        *("randomize_addresses", "read_timeout", "timeout", "user_agent"),
    }
)


def _bare(name: str) -> str:
    """Return the name of an option as all clouds have it."""
    name = name.lower()
    return next((name.removeprefix(each) for each in _PREFIXES if name.startswith(each)), name)


def _options(options: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse what is no option of a bucket, or an address that is none; values may be secret."""
    for name in options:
        if _bare(name) in _OF_THE_CONNECTION:
            raise ValueError(
                f"{name} is not an option here: an authority of your own is named with ROOST_MEDIA__CA, and "
                "http:// is for loopback, unless ROOST_CLEARTEXT__SERVERS_INSECURE permits it"
            )
    for name, address in _addresses(options):
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{name} is no address that begins with https://")
    return options


def _addresses(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in options.items() if _bare(name) in _ENDPOINTS)


def _in_the_clear(options: Mapping[str, str]) -> list[str]:
    return [address for _, address in _addresses(options) if address.lower().startswith("http:")]


Options = Annotated[dict[str, str], AfterValidator(_options)]


class Media(Group):
    """Files that clients send to each other, encrypted by them."""

    url: MediaUrl | None = Field(
        None,
        description="Where the bytes go: `s3://bucket/prefix`, `gs://...`, `az://...`, or `file:///folder`, "
        "which every gateway must share. None: the folder `media` in the data folder, for one machine.",
    )
    options: Options = Field(
        {},
        description="Options of the bucket, as a JSON object: `endpoint` and `region` of S3, `account_name` "
        "of Azure, `base_url` of GCS, and credentials, better in a file. What is not there is taken from the "
        "cloud's own variables, or from what the machine or pod is given by it.",
        repr=False,
    )
    options_file: Path | None = Field(
        None,
        description="File with further options, such as the credentials, as a JSON object; no other user may "
        "read it, and it is at the same path on every node.",
    )
    ca: Path | None = Field(
        None,
        description="PEM file of authorities whose certificates the bucket's server may show, besides those "
        "of the machine.",
    )
    file_bytes: int = Field(2 * 1024**3, ge=1, description="Largest file, in bytes, as encrypted.")
    user_bytes: int = Field(
        10 * 1024**3, ge=1, description="Bytes that one user may keep, unfinished uploads included."
    )
    user_files: int = Field(2_000, ge=1, description="Files that one user may keep, likewise.")
    day_bytes: int = Field(
        5 * 1024**3,
        ge=1,
        description="Bytes that one user may upload in 24 hours; what was deleted since still counts.",
    )
    day_files: int = Field(500, ge=1, description="Files that one user may upload in 24 hours, likewise.")
    keep_s: int = Field(30 * 24 * 3600, ge=60, description="Seconds after which a file is removed.")
    unfinished_s: int = Field(
        24 * 3600, ge=60, description="Seconds after which an upload that did not end is removed."
    )
    transfers: int = Field(
        100,
        ge=1,
        description="Concurrent uploads per gateway, and as many downloads; each may hold 1 MiB or two.",
    )
    user_transfers: int = Field(
        6, ge=1, description="Concurrent uploads per user and gateway, and as many downloads."
    )

    def access(self) -> BucketAccess:
        """Return what a client needs besides the URL.

        Raises:
            OSError: The file of options cannot be read, others may read it, or it has not that form.
        """
        options = self._all_options()
        return BucketAccess(options, self.ca, cleartext=bool(_in_the_clear(options)))

    def _all_options(self) -> dict[str, str]:
        if self.options_file is None:
            return self.options
        secret = read_secret(self.options_file)
        try:
            return {**self.options, **_options(msgspec.json.decode(secret, type=dict[str, str]))}
        except ValueError as exc:
            raise OSError(f"{self.options_file}: {exc}") from None

    def in_the_clear(self) -> list[str]:
        """Return the addresses that lead to the bucket without TLS; raises as `access` does."""
        return _in_the_clear(self._all_options())
