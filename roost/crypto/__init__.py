"""The client's cryptography: private keys, signing, sealing and opening.

No server package imports this one (the import contracts check it). ``keys`` makes device
keys and signed bundles, ``padding`` hides lengths, ``sealed`` is the suite ``sealed.v1``.
"""

from roost.crypto.keys import DeviceSecrets
from roost.crypto.sealed import SUITE, Heading, Undecryptable, open_sealed, seal

__all__ = ["SUITE", "DeviceSecrets", "Heading", "Undecryptable", "open_sealed", "seal"]
