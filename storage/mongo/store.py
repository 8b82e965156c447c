"""``MongoStore``: what lasts, by concern, in one database."""

from typing import Final

from storage.keyring import KeyRing
from storage.mongo.accounts import MongoAccounts
from storage.mongo.cluster_state import MongoClusterState
from storage.mongo.conversations import MongoConversations
from storage.mongo.database import Database
from storage.mongo.driver import Driver
from storage.mongo.erasures import MongoErasures
from storage.mongo.keys import MongoKeys
from storage.mongo.mailboxes import MongoMailboxes
from storage.mongo.retention import MongoRetention
from storage.mongo.sessions import MongoSessions

READS: Final = 16
"""Reads in progress at once, unless the settings say otherwise."""


class MongoStore:
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
        self, url: str, database: str, driver_name: Driver, keyring: KeyRing, *, reads: int = READS
    ) -> None:
        self._database = Database(url, database, driver_name, reads=reads)
        self.accounts = MongoAccounts(self._database, keyring)
        self.sessions = MongoSessions(self._database)
        self.keys = MongoKeys(self._database)
        self.mailboxes = MongoMailboxes(self._database)
        self.conversations = MongoConversations(self._database)
        self.erasures = MongoErasures(self._database, keyring)
        self.retention = MongoRetention(self._database)
        self.cluster = MongoClusterState(self._database)

    async def prepare(self) -> None:
        """Create the indexes. Idempotent, safe while others do the same."""
        parts = (
            self.accounts,
            self.sessions,
            self.keys,
            self.mailboxes,
            self.conversations,
            self.erasures,
            self.retention,
        )
        for each in parts:
            await each.prepare()

    async def ping(self) -> None:
        """Return if the server answers."""
        await self._database.ping()

    async def close(self) -> None:
        """Disconnect."""
        await self._database.close()
