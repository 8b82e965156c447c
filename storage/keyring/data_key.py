"""The data key of one user, with which the user's sealed fields are sealed.

It is itself sealed by the key ring, in a row of its own. Without that row nothing opens any longer what it
sealed, wherever copies of it are: deleting the row erases them all.
"""

import secrets
from typing import Final

from nacl.secret import Aead

from storage.keyring.keys import KEY_BYTES
from storage.keyring.ring import KeyRing
from storage.keyring.sealing import BY_DATA_KEY, SealBroken, decrypt, encrypt

COLLECTION: Final = "data_keys"
FIELD: Final = "key"


class DataKey:
    """What opens, and seals, the fields of one user.

    Args:
        ring: Opens what was sealed before there were data keys.
        key: The user's key, None if there is none.
    """

    __slots__ = ("_box", "_ring")

    def __init__(self, ring: KeyRing, key: bytes | None) -> None:
        self._ring = ring
        self._box = None if key is None else Aead(key)

    @classmethod
    def open(cls, ring: KeyRing, user: str, sealed: bytes) -> "DataKey":
        """Return the key from its row.

        Raises:
            SealBroken: The row was altered, is another user's, or its storage key is gone.
        """
        return cls(ring, ring.unseal_bytes(COLLECTION, user, FIELD, sealed))

    @property
    def present(self) -> bool:
        """Whether the user has a key."""
        return self._box is not None

    def seal(self, collection: str, identity: str, field: str, text: str) -> bytes:
        """Encrypt a field's text for exactly this place.

        Raises:
            SealBroken: The user has no key.
        """
        if self._box is None:
            raise SealBroken(f"There is no data key for {collection}.{field}.")
        return bytes((BY_DATA_KEY,)) + encrypt(self._box, (collection, identity, field), text.encode())

    def unseal(self, collection: str, identity: str, field: str, sealed: bytes | str) -> str:
        """Decrypt a field's text; what an earlier release left unsealed is returned as it is, if allowed.

        Raises:
            SealBroken: It was altered, or sealed for another place, or its key is gone.
        """
        if isinstance(sealed, str):
            if self._ring.secrets.lenient:
                return sealed
            raise SealBroken(f"The value of {collection}.{field} is not a sealed one.")
        if sealed[:1] != bytes((BY_DATA_KEY,)):
            return self._ring.unseal(collection, identity, field, sealed)
        if self._box is None:
            raise SealBroken(f"The data key of {collection}.{field} is gone: its user was erased.")
        return decrypt(self._box, (collection, identity, field), sealed[1:]).decode()

    def is_lost(self, value: object) -> bool:
        """Return whether this is a value that nothing opens any longer: the user has no key."""
        return self._box is None and is_by_data_key(value)


def new_data_key(ring: KeyRing, user: str) -> bytes:
    """Make a key for a user; returns what its row holds."""
    return ring.seal_bytes(COLLECTION, user, FIELD, secrets.token_bytes(KEY_BYTES))


def is_by_data_key(value: object) -> bool:
    """Return whether a stored value is sealed as today's are."""
    return isinstance(value, bytes) and value[:1] == bytes((BY_DATA_KEY,))
