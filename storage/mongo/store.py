"""``MongoStore``: the parts of the adapter behind one client."""

import asyncio
from typing import Final

from storage.keyring import KeyRing
from storage.mongo import driver
from storage.mongo.accounts import AccountsPart
from storage.mongo.cluster_state import ClusterStatePart
from storage.mongo.conversations import ConversationsPart
from storage.mongo.keys import KeysPart
from storage.mongo.mailboxes import MailboxesPart
from storage.mongo.sessions import SessionsPart

READS: Final = 16
"""Reads in progress at once, unless the settings say otherwise."""


class MongoStore(AccountsPart, SessionsPart, KeysPart, MailboxesPart, ConversationsPart, ClusterStatePart):
    """Implements ``storage.ports.Store``.

    It belongs to the event loop in which it is made, and connects at its first call.

    Args:
        url: ``mongodb://...``
        database: Name of the database.
        driver_name: ``motor``, or ``pymongo`` for its successor ``AsyncMongoClient``.
        keyring: Seals phone, e-mail, push token and device name.
        reads: Reads in progress at once; the others wait.
    """

    def __init__(
        self, url: str, database: str, driver_name: driver.Driver, keyring: KeyRing, *, reads: int = READS
    ) -> None:
        self._client = driver.connect(url, driver_name)
        super().__init__(self._client[database], keyring, asyncio.Semaphore(reads))

    async def prepare(self) -> None:
        """Create the indexes. Idempotent, safe while others do the same."""
        await self.prepare_accounts()
        await self.prepare_sessions()
        await self.prepare_keys()
        await self.prepare_mailboxes()
        await self.prepare_conversations()

    async def ping(self) -> None:
        """Return if the server answers."""
        await driver.ping(self._client)

    async def close(self) -> None:
        """Disconnect."""
        await driver.disconnect(self._client)
