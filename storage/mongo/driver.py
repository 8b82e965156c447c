"""The only use of the MongoDB drivers: motor, and its successor ``pymongo.AsyncMongoClient``.

The client is made here, and every call goes through ``Collection``, where what the two drivers do
differently ends and their exceptions become ``Unavailable``, once.
"""

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

from roost.errors import Unavailable
from roost.loading import without
from roost.tls import strengthened
from storage.access import OPEN, Access

# For checks of revoked certificates it needs `service_identity` as well; without that one it would load
# `cryptography` for nothing: 0.04 s and 8 MB.
with without(*(() if find_spec("service_identity") else ("cryptography",))):
    from bson.codec_options import TypeDecoder, TypeRegistry
    from bson.int64 import Int64
    from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError
    from pymongo.operations import IndexModel, UpdateOne

Driver = Literal["motor", "pymongo"]
Document = dict[str, Any]
Filter = Mapping[str, Any]
Change = tuple[Filter, Mapping[str, Any]]
"""A filter and the update of the one document that it selects."""
Sort = Sequence[tuple[str, int]]

ASCENDING: Final = 1
DESCENDING: Final = -1

_DUPLICATE_KEY: Final = 11000


class _PlainInts(TypeDecoder):
    """Gives 64-bit numbers as ``int``: the driver's own type is a subclass that msgspec does not encode."""

    bson_type = Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)


_OPTIONS: Final[Document] = {
    "appname": "roost",
    "type_registry": TypeRegistry([_PlainInts()]),
    "w": "majority",
    "journal": True,  # on a single node a majority says nothing about the disk
    "maxPoolSize": 32,
    "serverSelectionTimeoutMS": 3_000,
    "connectTimeoutMS": 3_000,
    "socketTimeoutMS": 15_000,
    "waitQueueTimeoutMS": 5_000,
}


def load(driver: Driver) -> None:
    """Load the modules of the driver, so that the first client is made at once."""
    import_module({"motor": "motor.motor_asyncio", "pymongo": "pymongo"}[driver])


def connect(url: str, driver: Driver, access: Access = OPEN) -> Any:
    """Make a client for the running event loop; it connects at its first call.

    Raises:
        Unavailable: A file for TLS cannot be used.
    """
    try:
        client = _client(url, driver, _OPTIONS | _shown(access))
        context = client.options.pool_options._ssl_context  # noqa: SLF001 -- the driver takes none of ours
        if isinstance(context, ssl.SSLContext):
            strengthened(context, access.certificate, access.key)
    except OSError as exc:
        raise Unavailable(f"The files for TLS towards MongoDB cannot be used: {exc}.") from exc
    return client


def _client(url: str, driver: Driver, options: Document) -> Any:
    if driver == "motor":
        from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415 -- only the driver in use is loaded

        return AsyncIOMotorClient(url, io_loop=asyncio.get_running_loop(), **options)
    from pymongo import AsyncMongoClient  # noqa: PLC0415 -- likewise

    return AsyncMongoClient(url, **options)


def _shown(access: Access) -> Document:
    options: Document = {} if access.ca is None else {"tlsCAFile": str(access.ca)}
    if access.user is not None:
        options |= {"username": access.user, "password": access.password}
    return options


async def disconnect(client: Any) -> None:
    """Close a client of either driver."""
    if inspect.iscoroutinefunction(client.close):
        await client.close()
    else:
        # motor's close talks to the server, and would hold up the loop while it does.
        await asyncio.to_thread(client.close)


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's exception into ``Unavailable``."""
    try:
        yield
    except BulkWriteError as exc:
        codes = sorted({error["code"] for error in (exc.details or {}).get("writeErrors", [])})
        # Not `from exc`: its text holds the documents, and would take them into a log.
        raise Unavailable(f"MongoDB did not carry out all of the writes (error codes {codes}).") from None
    except PyMongoError as exc:
        raise Unavailable(f"MongoDB did not carry out the call ({type(exc).__name__}).") from exc


async def ping(client: Any) -> None:
    """Return if the server answers."""
    with translated():
        await client.admin.command("ping")


class Collection:
    """The few operations that the adapter needs, on one collection of either driver.

    Args:
        collection: The driver's.
        reads: Taken by each read while it is in progress.
    """

    def __init__(self, collection: Any, reads: asyncio.Semaphore | None = None) -> None:
        self._collection = collection
        self._reads = reads or asyncio.Semaphore()

    async def index(self, keys: Sort, *, unique: bool = False, ttl_s: int | None = None) -> None:
        """Create the index if it is not there."""
        options: Document = {"unique": True} if unique else {}
        if ttl_s is not None:
            options["expireAfterSeconds"] = ttl_s
        with translated():
            await self._collection.create_indexes([IndexModel(list(keys), **options)])

    async def one(self, where: Filter, fields: Sequence[str] | None = None) -> Document | None:
        """Return the first document."""
        async with self._reads:
            with translated():
                found: Document | None = await self._collection.find_one(where, fields)
                return found

    async def many(
        self,
        where: Filter,
        fields: Sequence[str] | None = None,
        *,
        sort: Sort | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """Return the documents, in an order if there is one, at most ``limit`` (0: all)."""
        cursor = self._collection.find(where, fields, sort=sort, limit=limit)
        async with self._reads:
            with translated():
                found: list[Document] = await cursor.to_list(None)
                return found

    async def walk(self, where: Filter, chunk: int) -> AsyncIterator[list[Document]]:
        """Yield the documents by ``_id``, so many at once."""
        cursor = self._collection.find(where, sort=[("_id", ASCENDING)], batch_size=chunk)
        found: list[Document] = []
        with translated():
            async for document in cursor:
                found.append(document)
                if len(found) == chunk:
                    yield found
                    found = []
        if found:
            yield found

    async def count(self) -> int:
        """Return about how many documents there are."""
        with translated():
            return int(await self._collection.estimated_document_count())

    async def insert(self, document: Document) -> bool:
        """Insert it; False if a unique key is taken."""
        with translated():
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError:
                return False
            return True

    async def insert_missing(self, documents: Sequence[Document]) -> list[Any]:
        """Insert in one unordered write those whose key is not taken; returns the ids of the others."""
        with translated():
            try:
                await self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as exc:
                return [documents[error["index"]]["_id"] for error in _only_duplicates(exc)]
            return []

    async def update(self, where: Filter, change: Mapping[str, Any], *, upsert: bool = False) -> bool:
        """Change one document; says whether one was there (or was made)."""
        with translated():
            result = await self._collection.update_one(where, change, upsert=upsert)
            return bool(result.matched_count or result.upserted_id is not None)

    async def update_many(self, where: Filter, change: Mapping[str, Any]) -> None:
        """Change all that match."""
        with translated():
            await self._collection.update_many(where, change)

    async def update_and_get(
        self, where: Filter, change: Mapping[str, Any], *, before: bool = False
    ) -> Document | None:
        """Change one document atomically and return it as it is after (or was before) the change."""
        with translated():
            found: Document | None = await self._collection.find_one_and_update(
                where, change, return_document=not before
            )
            return found

    async def bulk(self, changes: Sequence[Change], *, upsert: bool = True) -> None:
        """Carry out the changes in one unordered write."""
        if not changes:
            return
        operations = [UpdateOne(where, change, upsert=upsert) for where, change in changes]
        with translated():
            try:
                await self._collection.bulk_write(operations, ordered=False)
            except BulkWriteError as exc:
                # Two first writers of one row: the one that came second repeats, now as an update.
                again = [operations[error["index"]] for error in _only_duplicates(exc)]
                await self._collection.bulk_write(again, ordered=False)

    async def delete(self, where: Filter) -> int:
        """Delete all that match; returns how many."""
        with translated():
            result = await self._collection.delete_many(where)
            return int(result.deleted_count)


def _only_duplicates(error: BulkWriteError) -> list[Any]:
    """Return the write errors if each is a taken key; else raise."""
    details = error.details or {}
    errors: list[Any] = details.get("writeErrors", [])
    if details.get("writeConcernErrors") or any(each["code"] != _DUPLICATE_KEY for each in errors):
        raise error
    return errors
