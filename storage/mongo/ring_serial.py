"""How new the installation's key ring is, so that a machine with an older copy of its file finds out."""

from collections.abc import Mapping
from typing import Final

from storage.mongo.database import Database
from storage.mongo.driver import Document

PLACE: Final = "rings"


class MongoRingSerial:
    """The greatest serial of a ring that any process has used."""

    def __init__(self, database: Database) -> None:
        self._placement = database["placement"]

    async def seen(self, installation: str, serial: int) -> int:
        """Note that this ring is used here, and return the greatest serial that any process has noted."""
        await self._placement.update({"_id": PLACE}, {"$max": {f"of.{installation}": serial}}, upsert=True)
        return max(serial, serials_in(await self._placement.one({"_id": PLACE})).get(installation, 0))


def serials_in(document: Document | None) -> Mapping[str, int]:
    """Return the serials by installation."""
    found: Mapping[str, int] = document["of"] if document is not None else {}
    return found
