"""The stored messages of a running system, read from MongoDB itself."""

from typing import Any

from pymongo import MongoClient

from storage.mailbox_rows import MailboxDocument
from storage.mongo.buckets import entries_of
from tests.live.running import System


def stored_messages(system: System) -> list[MailboxDocument]:
    """Return all stored messages, each once, by their numbers."""
    with MongoClient[dict[str, Any]](system.mongo) as mongo:
        found = {
            (entry.user, entry.seq): entry
            for bucket in mongo["roost"]["mailbox"].find({})
            for entry in entries_of(bucket)
            if entry.kind == "m"
        }
    return sorted(found.values(), key=lambda entry: entry.seq)
