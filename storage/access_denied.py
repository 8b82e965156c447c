"""The error for a server that refuses our credentials, where a caller tells that from an outage."""

from roost.errors import Unavailable


class AccessDenied(Unavailable):
    """The server is there, and does not take our name and password, or does not let us do this."""
