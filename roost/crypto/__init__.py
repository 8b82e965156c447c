"""What only clients may do: hold private keys, sign, seal and open.

No server package imports this one (the import contracts check it). ``keys`` makes device
keys and signed bundles, ``padding`` hides lengths, ``sealed`` is the suite ``sealed.v1``.
"""

from roost.crypto.keys import DeviceSecrets
from roost.crypto.sealed import SUITE, Heading, Undecryptable, open_sealed, seal

__all__ = ["SUITE", "DeviceSecrets", "Heading", "Undecryptable", "open_sealed", "seal"]
