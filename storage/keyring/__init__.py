"""The key ring: every secret of the installation, in one file, and what is done with them.

`keys` has the rules of a key's life, `file` the file, `sealing` the form of a sealed value, `ring` the ring
as a process uses it, `data_key` the keys of users that the ring seals, `vapid` the keys of Web Push.
"""

from storage.keyring.data_key import DataKey
from storage.keyring.file import KeyRingError, Master, RingFile, master_from
from storage.keyring.keys import PURPOSES, Key, Purpose, RotationRefused, Secrets, State, fresh_secrets
from storage.keyring.ring import KeyRing, first_refresh
from storage.keyring.sealing import SealBroken, key_id_of
from storage.keyring.vapid import VapidKey

__all__ = [
    "PURPOSES",
    "DataKey",
    "Key",
    "KeyRing",
    "KeyRingError",
    "Master",
    "Purpose",
    "RingFile",
    "RotationRefused",
    "SealBroken",
    "Secrets",
    "State",
    "VapidKey",
    "first_refresh",
    "fresh_secrets",
    "key_id_of",
    "master_from",
]
