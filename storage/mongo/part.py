"""What the parts of the adapter share: the collections and the key ring."""

import asyncio
from collections import Counter
from typing import Any

from storage.keyring import KeyRing
from storage.mongo.driver import Collection
from storage.mongo.places import Places


class Part:
    """A group of the store's methods, over the same collections.

    Args:
        database: The driver's database object.
        keyring: Seals and unseals fields.
        reads: Taken by each read while it is in progress.
    """

    def __init__(self, database: Any, keyring: KeyRing, reads: asyncio.Semaphore) -> None:
        self._ring = keyring
        self._places = Places()
        self._appended: Counter[str] = Counter()  # sheets of conversations since the last fold, by user
        self._users = Collection(database["users"], reads)
        self._devices = Collection(database["devices"], reads)
        self._sessions = Collection(database["sessions"], reads)
        self._blocks = Collection(database["blocks"], reads)
        self._one_time_keys = Collection(database["one_time_keys"], reads)
        self._mailbox = Collection(database["mailbox"], reads)
        self._conversations = Collection(database["conversations"], reads)
        self._cursors = Collection(database["cursors"], reads)
        self._log = Collection(database["log"], reads)
        self._placement = Collection(database["placement"], reads)
        self._dead = Collection(database["dead"], reads)


def row_id(*parts: str) -> str:
    """Return the ``_id`` of a row that belongs to several things."""
    return "|".join(parts)
