"""A database: its client and its collections, which share one bound on reads."""

import asyncio

from storage.access import OPEN, Access
from storage.mongo import driver


class Database:
    """A database of one client.

    It belongs to the event loop in which it is made, and connects at its first call.

    Args:
        url: ``mongodb://...``
        name: Name of the database.
        driver_name: ``motor``, or ``pymongo`` for its successor ``AsyncMongoClient``.
        reads: Reads in progress at once; the others wait.
        access: Who signs in, and TLS.
    """

    def __init__(
        self, url: str, name: str, driver_name: driver.Driver, *, reads: int, access: Access = OPEN
    ) -> None:
        self._client = driver.connect(url, driver_name, access)
        self._database = self._client[name]
        self._reads = asyncio.Semaphore(reads)

    def __getitem__(self, collection: str) -> driver.Collection:
        return driver.Collection(self._database[collection], self._reads)

    async def ping(self) -> None:
        """Return if the server answers."""
        await driver.ping(self._client)

    async def close(self) -> None:
        """Disconnect."""
        await driver.disconnect(self._client)


def row_id(*parts: str) -> str:
    """Return the ``_id`` of a row that belongs to several things."""
    return "|".join(parts)
