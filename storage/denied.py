"""What a server's refusal of our credentials becomes, where somebody wants to know it from an outage."""

from roost.errors import Unavailable


class Denied(Unavailable):
    """The server is there, and does not take our name and password, or does not let us do this."""
