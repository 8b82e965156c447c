"""The MongoDB adapter: accounts, keys, mailboxes, conversations and the cluster's state."""

from storage.mongo.store import READS, MongoStore

__all__ = ["READS", "MongoStore"]
