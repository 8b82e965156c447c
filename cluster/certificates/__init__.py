"""A cluster's own certificates: a private CA, and what it issues to nodes, servers and clients."""

from cluster.certificates.authority import Authority, Purpose
from cluster.certificates.files import CertificateError
from cluster.certificates.inventory import Held, held

__all__ = ["Authority", "CertificateError", "Held", "Purpose", "held"]
