"""Inspection of a MongoDB deployment: its reports about itself and about our data."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from pymongo.errors import ConfigurationError, OperationFailure

from roost.clock import Clock
from roost.errors import Unavailable
from storage.access import OPEN, Access
from storage.access_denied import AccessDenied
from storage.cluster_rows import LogState
from storage.keyring.data_key import COLLECTION, FIELD
from storage.mongo.driver import Collection, Driver, connect, disconnect, translated
from storage.mongo.ring_serial import PLACE, serials_in

_AUTHENTICATION: Final = (13, 18)
"""Codes of MongoDB: not allowed, and a wrong name or password."""

_TRACE: Final = "doctor"
"""``_id`` in ``placement`` of the document that is written and removed."""


class StoreInspection(Struct, frozen=True):
    """A MongoDB.

    Attributes:
        version: Of the server.
        copies: Name of the replica set, ``sharded`` behind a router, empty for a single server.
        ahead_ms: How much its clock is ahead of ours.
        states: The log's state by shard, as the coordinator keeps it; empty before the first start.
        sealed: ``_id`` and sealed data key of some user; None if there is none.
        rings: Newest serial of a key ring that was used, by installation.
        open: Whether it serves who brings no password.
    """

    version: str
    copies: str
    ahead_ms: int
    states: dict[int, LogState]
    sealed: tuple[str, bytes] | None
    rings: Mapping[str, int]
    open: bool


async def inspect(
    url: str, database: str, driver: Driver, clock: Clock, access: Access = OPEN
) -> StoreInspection:
    """Ask, and write and remove one document with the write concern that everything has.

    Raises:
        AccessDenied: It wants other credentials, or these may not write.
        Unavailable: It does not answer, or a majority does not take the write in time.
    """
    with _told_apart():
        client = connect(url, driver, access)
    try:
        with _told_apart():
            before = clock()
            hello = await client.admin.command("hello")
            after = clock()
            build = await client.admin.command("buildInfo")
            ours = client[database]
            await _write(Collection(ours["placement"]), after)
            rows = await Collection(ours["log"]).many({})
            row = await Collection(ours[COLLECTION]).one({}, [FIELD])
            rings = serials_in(await Collection(ours["placement"]).one({"_id": PLACE}))
    finally:
        await disconnect(client)
    return StoreInspection(
        version=build["version"],
        copies="sharded" if hello.get("msg") == "isdbgrid" else hello.get("setName", ""),
        ahead_ms=int(hello["localTime"].replace(tzinfo=dt.UTC).timestamp() * 1000) - (before + after) // 2,
        states={row["_id"]: LogState(row["_id"], row["base"], row["stored"]) for row in rows},
        sealed=None if row is None else (row["_id"], row[FIELD]),
        rings=rings,
        open=await _open(url, database, driver, access),
    )


async def _write(placement: Collection, now_ms: int) -> None:
    await placement.update({"_id": _TRACE}, {"$set": {"at_ms": now_ms}}, upsert=True)
    await placement.delete({"_id": _TRACE})


async def _open(url: str, database: str, driver: Driver, access: Access) -> bool:
    """Return whether it lets clients read without a password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc and access.user is None:
        return True
    query = "&".join(each for each in parts.query.split("&") if not each.lower().startswith("auth"))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query)
    client: Any = connect(urlunsplit(bare), driver, replace(access, user=None, password=None))
    try:
        with _told_apart():
            await Collection(client[database]["log"]).one({})
    except Unavailable:
        return False
    finally:
        await disconnect(client)
    return True


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Tell a refusal of credentials from an outage."""
    try:
        with translated():
            yield
    except Unavailable as exc:
        cause = exc.__cause__
        if isinstance(cause, OperationFailure) and cause.code in _AUTHENTICATION:
            raise AccessDenied(f"MongoDB answers and denies it ({cause.code}).") from cause
        if isinstance(cause, ConfigurationError):
            raise Unavailable(f"The address is none for MongoDB's driver: {cause}.") from cause
        raise
