"""The audit log in the store: numbered without gaps, whoever writes at once, and verified as it is read."""

import asyncio

from pymongo import MongoClient

from storage.audit_chain import Act, faults
from storage.mongo import MongoStore


def act(number: int) -> Act:
    return Act("operator:ann@box", "admin.grant", f"user{number}", "done")


async def test_acts_at_once_make_one_chain(store: MongoStore, mongo_url: str, database: str) -> None:
    appended = await asyncio.gather(*(store.audit.append(act(number), number) for number in range(8)))
    entries = await store.audit.entries()
    assert [entry.number for entry in entries] == list(range(1, 9))
    assert sorted(appended, key=lambda each: each.number) == entries
    assert faults(entries) == []
    assert await store.audit.entries(after=3, limit=2) == entries[3:5]
    with MongoClient[dict[str, object]](mongo_url) as client:
        client[database]["audit"].delete_one({"_id": 4})
        client[database]["audit"].update_one({"_id": 7}, {"$set": {"outcome": "refused"}})
    assert len(faults(await store.audit.entries())) == 2
