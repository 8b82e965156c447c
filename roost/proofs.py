"""What a device signs with its Ed25519 key to prove to the server that it is itself.

Each begins with a prefix of its own, so that a signature made for one purpose serves no other.
"""

from roost.signing import canonical_json

_REFRESH = b"roost.refresh.v1\x00"
_LOG_IN = b"roost.auth.v1\x00"


def refresh_message(token: str) -> bytes:
    """Return what is signed to use a refresh token."""
    return _REFRESH + token.encode()


def challenge_message(user: str, device_id: str, nonce: str, server: str) -> bytes:
    """Return what is signed to log in.

    Args:
        user: Username, folded.
        device_id: The device that signs.
        nonce: What the server gave for this user and device.
        server: Name of that server.
    """
    return _LOG_IN + canonical_json({"user": user, "device_id": device_id, "nonce": nonce, "server": server})
