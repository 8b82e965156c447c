"""What a keystore promises."""

import asyncio
from typing import Protocol

from roost.client.state import Profile
from roost.client.store.history import History


class KeystoreInUse(ValueError):  # noqa: N818 - a state of the keystore
    """Another client uses this keystore: two of one device would end each other's session."""


class Keystore(Protocol):
    """Keeps one profile and, if it can, the history, for one client at a time.

    What is kept together is kept at once: after a crash all of it is there, or nothing. When it is kept, it
    survives what the implementation promises to survive.
    """

    @property
    def history(self) -> History | None:
        """The messages that were sent and received; None: they are not kept."""
        ...

    def lock(self) -> None:
        """Claim the keystore until ``unlock``; the claim ends with the process that made it.

        Raises:
            KeystoreInUse: Another client has it, in this process or in any that can reach the keystore.
        """
        ...

    def unlock(self) -> None:
        """Let another client have the keystore; without a claim it does nothing."""
        ...

    def load(self) -> Profile | None:
        """Return what was saved, ``None`` if nothing was.

        Raises:
            KeystoreInUse: Another client has it.
            ValueError: What was saved cannot be read.
        """
        ...

    def save(self, profile: Profile) -> None:
        """Keep this profile instead of the one before, before it returns.

        Raises:
            OSError: It cannot be kept.
        """
        ...

    def keep(self, profile: Profile) -> "asyncio.Future[None] | None":
        """Keep what has changed since the last time in the profile, and what the history was told.

        Called in a running event loop, by the client that has the claim and once at a time.

        Returns:
            None if it is kept; else a future that is done when it is, or has an ``OSError``: the next call
            then keeps this, too.
        """
        ...
