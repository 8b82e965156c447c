"""The keystore of clients that live as long as their process: simulated users, short programs, tests."""

import asyncio

from roost.client.keystore.port import KeystoreInUse
from roost.client.state import Profile
from roost.client.store.database import Database
from roost.client.store.history import History


class MemoryKeystore:
    """Keeps the profile as long as the process lives, by reference: keeping it costs nothing.

    Args:
        history: Keep the messages, too, in a database in memory.
    """

    def __init__(self, *, history: bool = False) -> None:
        self.history = History(Database(None)) if history else None
        self._profile: Profile | None = None
        self._locked = False

    def lock(self) -> None:
        """Claim it within this process: no other one can reach it."""
        if self._locked:
            raise KeystoreInUse("another client uses this keystore: close it first")
        self._locked = True

    def unlock(self) -> None:
        """Let another client have it."""
        self._locked = False

    def load(self) -> Profile | None:
        """Return the profile itself, with all changes made since."""
        return self._profile

    def save(self, profile: Profile) -> None:
        """Remember the profile by reference."""
        self._profile = profile

    def keep(self, profile: Profile) -> "asyncio.Future[None] | None":
        """Remember the profile by reference, and write what the history was told."""
        self._profile = profile
        return None if self.history is None else self.history.keep()
