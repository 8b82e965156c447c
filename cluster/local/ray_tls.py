"""Ray's own encryption, with the node's certificate: what Ray reads from the environment."""

import socket
import ssl
from typing import Final

from cluster.settings import Node
from roost.errors import Unavailable

_ANSWER_S: Final = 2.0


def ray_tls(node: Node) -> dict[str, str]:
    """Return the variables by which Ray's processes speak TLS and ask each other for a certificate.

    Every process of a Ray cluster must have them, or none may: none without a node's certificate.
    """
    if node.files is None:
        return {}
    ca, certificate, key = map(str, node.files)
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": ca,
        "RAY_TLS_SERVER_CERT": certificate,
        "RAY_TLS_SERVER_KEY": key,
    }


def check(address: str, node: Node) -> None:
    """Find out now what Ray would try for long, and then end this process over.

    Args:
        address: Of the Ray that this machine's system runs in.
        node: The node's certificate.

    Raises:
        Unavailable: One of the two speaks TLS, the other does not.
    """
    speaks = _speaks_tls(address)
    if speaks is None or speaks == (node.files is not None):
        return
    raise Unavailable(
        f"Ray at {address} speaks TLS: set ROOST_NODE__CA, ROOST_NODE__CERTIFICATE and ROOST_NODE__KEY as it "
        "was started with."
        if speaks
        else f"Ray at {address} does not speak TLS, and ROOST_NODE__CERTIFICATE is set: unset it, or start "
        "that system again with it."
    )


def _speaks_tls(address: str) -> bool | None:
    """Return whether what listens there answers in TLS; None: that cannot be said."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return None
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # nothing is told or believed here
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S) as plain,
            anyone.wrap_socket(plain),
        ):
            return True
    except ssl.SSLError:
        return False
    except OSError:
        return None
