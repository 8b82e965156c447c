"""A scan of every collection for whatever mentions a user. Reads everything, and changes nothing."""

import struct
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from msgspec import Struct

from storage.access import OPEN, Access
from storage.mentions import Needles
from storage.mongo.driver import Driver, connect, disconnect, translated


class Mentions(Struct):
    """Documents of one collection that mention a user.

    Attributes:
        own: Those that are the user's: its own row, or one whose owner it is.
        others: Those of others.
    """

    own: int = 0
    others: int = 0


async def scan(
    url: str, database: str, driver: Driver, wanted: Needles, access: Access = OPEN
) -> dict[str, Mentions]:
    """Count, by collection, the documents that mention the user; those that have none are not in it.

    Raises:
        Unavailable: MongoDB does not answer.
    """
    client = connect(url, driver, access)
    user = wanted.user.encode()
    text = struct.pack("<i", len(user) + 1) + user + b"\x00"
    fields = (b"u", b"user", b"_id")
    mine = tuple(b"\x02" + name + b"\x00" + text for name in fields)
    found: dict[str, Mentions] = {}
    try:
        with translated():
            options: Any = CodecOptions(document_class=RawBSONDocument)
            raw = client.get_database(database, codec_options=options)
            for name in await client[database].list_collection_names():
                async for document in raw[name].find({}):
                    if wanted.within(document.raw):
                        counted = found.setdefault(name, Mentions())
                        if any(each in document.raw for each in mine):
                            counted.own += 1
                        else:
                            counted.others += 1
    finally:
        await disconnect(client)
    return found
