"""Ray's own encryption, with the node's certificate: what Ray reads from the environment."""

from cluster.settings import Node


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
