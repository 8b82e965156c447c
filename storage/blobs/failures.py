"""What is wrong with a store of media, as a sentence, found in the errors of ``obstore``.

Their own text names objects, addresses and accounts, and goes nowhere.
"""

import re
from collections.abc import Mapping
from typing import Final

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from roost.errors import Unavailable
from storage.access_denied import AccessDenied

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CREDENTIALS: Final = ("/latest/api/token", "/latest/meta-data/", "performing token request", "AssumeRole")
"""What the text has of a client that was given no credentials, and asks its machine or cloud for some."""


class BucketMissing(Unavailable):
    """The server is there, and has no such bucket."""


class BucketUnusable(Unavailable):
    """The client refuses the settings, or the server's certificate: nothing is sent before they change."""


_SIGNS: Final[Mapping[str, tuple[type[Unavailable], str]]] = {
    "InvalidCertificate": (BucketUnusable, "The certificate of the media store is not to be believed."),
    "builder error": (
        BucketUnusable,
        "The media store would be reached without TLS, which is not permitted.",
    ),
    "dns error": (Unavailable, "The name of the media store's address cannot be found."),
    "Connection refused": (Unavailable, "Nothing listens at the media store's address."),
    "InvalidMessage": (Unavailable, "The media store does not speak TLS."),
    "No space left": (Unavailable, "The media store is full."),
    "kind: Timeout": (Unavailable, "The media store does not answer in time."),
}
"""What stands in the text of an error that has no status, and what it means."""


def translated(exc: Exception) -> Unavailable:
    """Return what an error of the client means."""
    text = str(exc)
    if isinstance(exc, FileNotFoundError):
        return BucketMissing("There is no such bucket or folder.")
    if isinstance(exc, PermissionDeniedError | UnauthenticatedError):
        return _denied()
    if any(place in text for place in _CREDENTIALS):
        return AccessDenied("There are no credentials for the media store, nor can any be had here.")
    if (found := _STATUS.search(text)) is not None:
        return _by_status(int(found[1]))
    for sign, (kind, sentence) in _SIGNS.items():
        if sign in text:
            return kind(sentence)
    return Unavailable(f"The media store did not carry out the call ({type(exc).__name__}).")


def _by_status(status: int) -> Unavailable:
    match status:
        case 401 | 403:
            return _denied()
        case 404:
            return BucketMissing("There is no such bucket or folder.")
    return Unavailable(f"The media store answers {status}.")


def _denied() -> Unavailable:
    return AccessDenied("The media store does not take our credentials, or does not let us do this.")
