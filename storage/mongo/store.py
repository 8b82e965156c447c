"""``MongoStore``: what lasts, by concern, in one database."""

from typing import Final

from storage.access import OPEN, Access
from storage.keyring import KeyRing
from storage.mongo.accounts import MongoAccounts
from storage.mongo.audit import MongoAudit
from storage.mongo.blobs import MongoBlobs
from storage.mongo.cluster_state import MongoClusterState
from storage.mongo.conversations import MongoConversations
from storage.mongo.data_keys import MongoDataKeys
from storage.mongo.database import Database
from storage.mongo.driver import Driver
from storage.mongo.erasures import MongoErasures
from storage.mongo.events import MongoEvents
from storage.mongo.keys import MongoKeys
from storage.mongo.mailboxes import MongoMailboxes
from storage.mongo.push_tokens import MongoPushTokens
from storage.mongo.reencryption import Reencryption
from storage.mongo.retention import MongoRetention
from storage.mongo.ring_serial import MongoRingSerial
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
        keyring: Seals the data keys of users, with which their fields are sealed.
        reads: Reads in progress at once; the others wait.
        access: Who signs in, and TLS.
    """

    def __init__(
        self,
        url: str,
        database: str,
        driver_name: Driver,
        keyring: KeyRing,
        *,
        reads: int = READS,
        access: Access = OPEN,
    ) -> None:
        self._database = Database(url, database, driver_name, reads=reads, access=access)
        data_keys = MongoDataKeys(self._database, keyring)
        self.accounts = MongoAccounts(self._database, keyring, data_keys)
        self.sessions = MongoSessions(self._database)
        self.push_tokens = MongoPushTokens(self._database, keyring, data_keys)
        self.keys = MongoKeys(self._database)
        self.mailboxes = MongoMailboxes(self._database)
        self.conversations = MongoConversations(self._database, data_keys)
        self.erasures = MongoErasures(self._database, keyring)
        self.retention = MongoRetention(self._database)
        self.cluster = MongoClusterState(self._database)
        self.audit = MongoAudit(self._database)
        self.events = MongoEvents(self._database)
        self.ring_serial = MongoRingSerial(self._database)
        self.reencryption = Reencryption(self._database, keyring)
        self.blobs = MongoBlobs(self._database, keyring)

    async def prepare(self) -> None:
        """Create the indexes. Idempotent, safe while others do the same."""
        for each in (
            self.accounts, self.sessions, self.push_tokens, self.keys, self.mailboxes, self.conversations,
            self.erasures, self.retention, self.audit, self.events, self.blobs, self.cluster,
        ):  # fmt: skip
            await each.prepare()

    async def ping(self) -> None:
        """Return if the server answers."""
        await self._database.ping()

    async def close(self) -> None:
        """Disconnect."""
        await self._database.close()
