"""The bucket of a cloud, or of a server that speaks as one: how it is reached, and whom to believe there."""

from collections.abc import Mapping
from typing import Any, Final

from obstore.exceptions import BaseError
from obstore.store import from_url

from storage.access import BucketAccess
from storage.blobs.failures import BucketUnusable

_CLIENT: Final = {"timeout": "20s", "connect_timeout": "5s"}
_RETRIES: Final[Mapping[str, Any]] = {"max_retries": 5}
"""Of answers 5xx and broken connections, from 0.1 s on with growing pauses, within the deadline of a call."""


def open_bucket(url: str, access: BucketAccess) -> Any:
    """Return the client of a bucket; it connects at its first call.

    What the environment says of encryption and certificates does not count: only ``access`` does.

    Raises:
        BucketUnusable: An option is not one of this cloud's, or has no such value.
        OSError: The file of authorities cannot be read.
    """
    client: dict[str, Any] = {**_CLIENT, "allow_http": access.cleartext}
    if access.ca is not None:
        client["root_certificate"] = access.ca.read_bytes()
    try:
        return from_url(url, config=dict(access.options), client_options=client, retry_config=_RETRIES)  # type: ignore[call-overload]
    except (BaseError, ValueError) as exc:
        # Without what follows the first line, which repeats everything. Not `from exc`: likewise.
        raise BucketUnusable(f"Its client refuses the options: {str(exc).partition(chr(10))[0]}") from None
