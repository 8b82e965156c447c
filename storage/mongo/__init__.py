"""The MongoDB adapter: everything that lasts, except the log and the blobs."""

from storage.mongo.store import READS, MongoStore

__all__ = ["READS", "MongoStore"]
